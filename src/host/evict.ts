/** Removes what keeps a namespace's objects alive: pins, links, attachments to cgroups. */
import type { HostObject } from '../model/host-object.js';
import { bpf, withObject } from '../sys/bpf.js';
import { errnoName } from '../sys/errno.js';
import { bpf_attr, bpf_cmd } from '../sys/kernel.gen.js';
import { cgroupAttachments } from './alive.js';
import { forEachPin } from './pins.js';

/**
 * @param onObject told after each object how many are done
 * @returns what was done, or why it could not be done, one line each
 */
export function evict(objects: readonly HostObject[], onObject: (done: number) => void = () => undefined): string[] {
  const lines = unpin(objects);
  for (const [index, object] of objects.entries()) {
    lines.push(...detach(object));
    onObject(index + 1);
  }
  return lines;
}

function detach({ kind, hostId }: HostObject): string[] {
  if (kind === 'link') return [attempt(`detached link ${hostId}`, () => detachLink(hostId))];
  if (kind !== 'prog') return [];
  return cgroupAttachments(hostId).map((place) =>
    attempt(`detached program ${hostId} from cgroup ${place.path}`, () => place.detach()),
  );
}

/** Their pins are looked for once more: a path seen earlier may lead to a file of somebody else's by now. */
function unpin(objects: readonly HostObject[]): string[] {
  const wanted = new Set(objects.map(({ kind, hostId }) => `${kind} ${hostId}`));
  const done: string[] = [];
  forEachPin(({ kind, host, path }, remove) => {
    if (wanted.has(`${kind} ${host}`)) done.push(attempt(`unpinned ${path}`, remove));
  });
  return done;
}

function attempt(done: string, action: () => void): string {
  try {
    action();
    return done;
  } catch (error) {
    return `not ${done}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function detachLink(id: number): void {
  const result = withObject('link', id, (fd) => {
    const attr = Buffer.alloc(4);
    attr.writeInt32LE(fd, bpf_attr.link_detach_link_fd);
    return bpf(bpf_cmd.BPF_LINK_DETACH, attr, attr.length);
  });
  if (result !== undefined && result < 0) {
    throw new Error(`${errnoName(-result)}; a link of this type ends with its last fd or pin`);
  }
}
