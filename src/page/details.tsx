/** What is asked of the agent about one object or process. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { WhoReply } from '../control/protocol.js';
import type { ObjectUsage } from '../control/usage.js';
import { containersOf, visible } from './format.js';

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(path);
  const reply = (await response.json()) as T | { readonly error: { readonly message: string } };
  if (typeof reply === 'object' && reply !== null && 'error' in reply) throw new Error(reply.error.message);
  return reply as T;
}

export function Details({
  object,
  onClose,
}: {
  readonly object: Pick<ObjectUsage, 'kind' | 'hostId'>;
  readonly onClose: () => void;
}): JSX.Element {
  const [report, setReport] = useState<WhoReply | string>('Looking …');
  const { kind, hostId } = object;
  useEffect(() => {
    let isCurrent = true;
    setReport('Looking …');
    ask<WhoReply>(`/api/who?kind=${kind}&id=${hostId}`).then(
      (reply) => isCurrent && setReport(reply),
      (error: unknown) => isCurrent && setReport(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      isCurrent = false;
    };
  }, [kind, hostId]);
  return (
    <aside class="details" aria-label="Details" aria-live="polite">
      <button type="button" class="close" onClick={onClose}>
        close
      </button>
      {typeof report === 'string' ? <p>{report}</p> : <Report report={report} />}
    </aside>
  );
}

function Report({ report }: { readonly report: WhoReply }): JSX.Element {
  const { creator, visibleIn, keptAliveBy } = report;
  return (
    <>
      <h3>{`${report.kind} ${report.hostId} ${visible(report.name)}, ${report.type}`}</h3>
      <dl>
        <dt>belongs to</dt>
        <dd>{visible(`${report.namespace.path}, where it is ${report.kind} ${report.id}`)}</dd>
        {report.containers.length > 0 ? <dt>container</dt> : null}
        {report.containers.length > 0 ? <dd>{visible(containersOf(report))}</dd> : null}
        <dt>made by</dt>
        <dd>{creator ? visible(creatorTitle(creator)) : 'not recorded'}</dd>
        <dt>visible in</dt>
        <dd>{visible(visibleIn.map(({ namespace, id }) => `${namespace.path} as ${id}`).join('; '))}</dd>
        <dt>kept alive by</dt>
        <dd>
          {keptAliveBy.length === 0 ? 'a reference that is not listed: a socket, a network device' : null}
          <ul>
            {keptAliveBy.map((reason) => (
              <li>{visible(reason)}</li>
            ))}
          </ul>
        </dd>
      </dl>
      {report.isCut ? <p>Long lists and texts are cut.</p> : null}
    </>
  );
}

/** What process a number in the search box is, if it is one's. */
export function useProcess(search: string): string | undefined {
  const [found, setFound] = useState<string>();
  useEffect(() => {
    setFound(undefined);
    const pid = search.trim();
    if (!/^\d{1,9}$/.test(pid)) return undefined;
    const timer = setTimeout(() => {
      ask<{ path: string }>(`/api/task?pid=${pid}`).then(
        ({ path }) => setFound(`Process ${pid} is in namespace ${visible(path)}.`),
        () => setFound(undefined),
      );
    }, 300);
    return () => clearTimeout(timer);
  }, [search]);
  return found;
}

function creatorTitle({ comm, pid, uid, cgroup, time }: NonNullable<WhoReply['creator']>): string {
  const where = cgroup.path === null ? '' : `, cgroup ${cgroup.path}`;
  return `${comm}[${pid}], uid ${uid}${where}, at ${time}`;
}
