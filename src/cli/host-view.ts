/**
 * What the commands that list tell of: asked of the agent by its client, as any program may. Where no
 * agent serves, or it does not answer, root reads the kernel here, by the functions of the agent's thread.
 */
import * as here from '../accounting/reports.js';
import { AgentError, Client, type NamespaceUsage, type StatusReply } from '../control/api.js';
import { AgentClient } from '../control/client.js';
import { idsOf as idsHere, readRecords } from '../host/inventory.js';
import { namespaceOfTask } from '../host/namespaces.js';
import type { Graph, HostObject, NamespaceProcess, ObjectReport } from '../model/host-object.js';
import type { Kind } from '../model/ids.js';
import { CliError } from './cli-error.js';
import { warn } from './standard-streams.js';

/** How long the agent may take for its status, in ms. */
const PATIENCE = 5000;
/** Errors that mean that there is no agent, that it or its thread ended meanwhile, or that it has too much to do. */
const absences = ['ENOENT', 'ECONNRESET', 'EAGAIN', 'ETIMEDOUT', 'EIO'];

/** For the commands that watch. Root starts an agent if none is running. */
export async function startedClient(): Promise<Client> {
  if (process.geteuid?.() === 0) (await AgentClient.connectOrStart()).close();
  return new Client();
}

/** Every namespace, init first, parents before children. */
export function namespaces(): Promise<readonly NamespaceUsage[]> {
  return ask(async (client) => (await client.list({ objects: false })).namespaces, here.namespaces);
}

/** Every object of a kind, in the order of host ids. */
export function objects(kind: Kind): Promise<readonly HostObject[]> {
  return ask(
    (client) => client.objects(kind),
    () => here.objects(kind),
  );
}

/** The host ids of a kind, without details. */
export function idsOf(kind: Kind): Promise<readonly number[]> {
  return ask(
    async (client) => (await client.list()).objects.flatMap((each) => (each.kind === kind ? [each.hostId] : [])),
    () => idsHere(kind),
  );
}

/** @throws CliError if there is no such object */
export function report(kind: Kind, id: number): Promise<ObjectReport> {
  return existing(kind, id, (client) => client.who(kind, id), here.objectReport);
}

/** What keeps an object alive. @throws CliError if there is no such object */
export function graph(kind: Kind, id: number): Promise<Graph> {
  return existing(kind, id, (client) => client.graph(kind, id), here.graph);
}

/** Every process in a namespace other than init. */
export function processes(): Promise<readonly NamespaceProcess[]> {
  return ask((client) => client.processes(), here.processes);
}

/** The namespace of a process or thread. @throws AgentError, SyscallError ESRCH if it does not exist */
export function namespaceOf(tid: number): Promise<Pick<NamespaceUsage, 'id' | 'path' | 'level'>> {
  return ask(
    async (client) => {
      const { namespace: id, path, level } = await client.task(tid);
      return { id, path, level };
    },
    () => {
      const namespace = readRecords().model.get(namespaceOfTask(tid));
      if (!namespace) throw new CliError(`process ${tid} has only just been put into its namespace: try again`);
      return namespace;
    },
  );
}

/** Finds a namespace by id or path, as `ls` shows them. @throws CliError */
export function findNamespace(all: readonly NamespaceUsage[], wanted: string): NamespaceUsage {
  const found = all.find(({ id, path }) => (/^\d+$/.test(wanted) ? id === Number(wanted) : path === wanted));
  if (!found) throw new CliError(`there is no namespace '${wanted}': see 'bpfns ls'`);
  return found;
}

/** Undefined if no agent serves, or this user may not ask it. */
export async function agentStatus(): Promise<StatusReply | undefined> {
  try {
    return await new Client().status();
  } catch (error) {
    if (error instanceof AgentError && ['ENOENT', 'EACCES'].includes(error.code)) return undefined;
    throw error;
  }
}

async function existing<T>(
  kind: Kind,
  id: number,
  asked: (client: Client) => Promise<T>,
  read: (kind: Kind, id: number) => T | undefined,
): Promise<T> {
  const nothing = new CliError(`no ${kind} has the host id ${id}: see 'bpfns ${kind} list'`);
  const found = await ask(
    (client) => asked(client).catch((error: unknown) => orUndefined(error, client)),
    () => read(kind, id),
  );
  if (found === undefined) throw nothing;
  return found;
}

/** An agent that is there and says ENOENT means the object. */
async function orUndefined(error: unknown, client: Client): Promise<undefined> {
  if (!(error instanceof AgentError) || error.code !== 'ENOENT') throw error;
  await client.status();
}

async function ask<T>(asked: (client: Client) => Promise<T>, read: () => T): Promise<T> {
  const client = new Client();
  const isRoot = process.geteuid?.() === 0;
  try {
    await answers(client.socket);
    return await asked(client);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    if (!isRoot && error.code === 'EACCES') {
      throw new CliError('this needs root, or a member of the group that [control] read-only-group lets in');
    }
    if (!isRoot || !absences.includes(error.code)) throw error;
    if (error.code !== 'ENOENT') warn(`${error.message}; read from the kernel instead`);
    return read();
  }
}

/** An agent that hangs is to be found out with these commands, and not to make them hang. */
async function answers(socket: string): Promise<void> {
  const agent = await AgentClient.connect(socket);
  if (!agent) return; // the client says so
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    agent.close();
  }, PATIENCE);
  try {
    await agent.ask<StatusReply>({ op: 'status' });
  } catch (error) {
    throw isLate ? new AgentError('ETIMEDOUT', `the agent has not answered within ${PATIENCE} ms`) : error;
  } finally {
    clearTimeout(timer);
    agent.close();
  }
}
