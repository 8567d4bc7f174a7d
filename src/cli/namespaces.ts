/** `bpfns create|rm|of|ps|ls`: namespaces for people. */
import { createInterface } from 'node:readline/promises';
import { AgentClient, AgentError } from '../control/client.js';
import type { CreateRequest, NamespaceReply } from '../control/protocol.js';
import { ownNamespace } from '../filter/own-command.js';
import { reasonsAlive } from '../host/alive.js';
import { evict } from '../host/evict.js';
import { type HostObject, inventory, readRecords } from '../host/inventory.js';
import { memoryByOwner } from '../host/memory.js';
import { type NamespaceSummary, namespaceOfTask, namespaceSummaries, readMembers } from '../host/namespaces.js';
import { containerTitle } from '../model/container.js';
import { hostId, INIT, inodeOf, kinds, namespaceId } from '../model/ids.js';
import type { Namespace, Namespaces } from '../model/namespaces.js';
import { CliError } from './cli-error.js';
import { type Column, json, printable, progress, table } from './output.js';
import { bytes } from './quantities.js';

const containers: Column<NamespaceSummary> = {
  title: 'CONTAINER',
  value: (namespace) => namespace.containers.map(containerTitle).join(','),
};

const columns: readonly Column<NamespaceSummary>[] = [
  { title: 'ID', align: 'right', value: ({ id }) => String(id) },
  { title: 'NAME', value: ({ name }) => name },
  { title: 'LEVEL', align: 'right', value: ({ level }) => String(level) },
  { title: 'PARENT', align: 'right', value: ({ parent }) => (parent === null ? '' : String(parent)) },
  { title: 'TASKS', align: 'right', value: ({ tasks }) => (tasks === null ? '' : String(tasks)) },
  ...kinds.map((kind): Column<NamespaceSummary> => {
    return { title: `${kind.toUpperCase()}S`, align: 'right', value: ({ objects }) => String(objects[kind]) };
  }),
  { title: 'TRACING', value: ({ id, tracing }) => (id === 0 ? '' : tracing) },
  { title: 'STATE', value: ({ id, orphaned, keep }) => (orphaned ? 'orphaned' : keep && id !== 0 ? 'kept' : '') },
];

const BAR = 10;

/** The namespaces as a table, a tree with the memory of each, or JSON. */
export function list(asJson: boolean, asTree: boolean): string {
  const records = readRecords();
  const namespaces = namespaceSummaries(records);
  if (asJson) return json({ namespaces });
  const hasContainers = namespaces.some((each) => each.containers.length > 0);
  const shown = hasContainers ? [...columns, containers] : columns;
  if (!asTree) return table(shown, namespaces);
  const memory = memoryByOwner(records.model);
  const of = ({ id }: NamespaceSummary): number => memory.get(namespaceId(id)) ?? 0;
  // Beside what the host itself has, guests' bars would all be empty.
  const most = Math.max(1, ...namespaces.filter(({ id }) => id !== INIT).map(of));
  const bar = (namespace: NamespaceSummary): string =>
    `[${'#'.repeat(Math.min(BAR, Math.ceil((of(namespace) / most) * BAR))).padEnd(BAR, '.')}]`;
  const label = ({ id, name, level }: NamespaceSummary): string => `${'  '.repeat(level)}${name || id}`;
  const treeColumns = shown.map((column) => (column.title === 'NAME' ? { ...column, value: label } : column));
  const memoryColumn: Column<NamespaceSummary> = { title: 'MEMORY', align: 'right', value: (each) => bytes(of(each)) };
  const barColumn: Column<NamespaceSummary> = {
    title: 'OF LARGEST',
    value: (each) => (each.id === INIT ? '' : bar(each)),
  };
  return table([...treeColumns, memoryColumn, barColumn], depthFirst(namespaces, null));
}

function depthFirst(all: readonly NamespaceSummary[], parent: number | null): NamespaceSummary[] {
  return all.filter((each) => each.parent === parent).flatMap((each) => [each, ...depthFirst(all, each.id)]);
}

/** Finds a namespace by id or path, as `ls` shows them. @throws CliError */
export function findNamespace(model: Namespaces, wanted: string): Namespace {
  const found = model.find(wanted);
  if (!found) throw new CliError(`there is no namespace '${wanted}': see 'bpfns ls'`);
  return found;
}

export async function create(options: Omit<CreateRequest, 'op'>): Promise<void> {
  const agent = await AgentClient.connectOrStart();
  await agent.ask<NamespaceReply>({ op: 'create', ...options });
  agent.close();
}

/** @returns what was detached, and what still keeps the namespace alive */
export async function remove(wanted: string, options: { objects: boolean; yes: boolean }): Promise<string> {
  const { model } = readRecords();
  const namespace = findNamespace(model, wanted);
  const done = options.objects ? await evictAll(namespace, options.yes) : [];
  const isLeft = await removeByAgent(namespace.id);
  return [...done, ...(isLeft ? remaining(namespace) : [])].map(printable).join('\n');
}

/** @returns whether the namespace still exists; without its objects it may have ended by itself */
async function removeByAgent(id: number): Promise<boolean> {
  const agent = await AgentClient.connectOrStart();
  try {
    const { exists } = await agent.ask<NamespaceReply>({ op: 'remove', namespace: String(id) });
    return exists;
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ENOENT') return false;
    throw error;
  } finally {
    agent.close();
  }
}

function objectsOf(namespace: Namespace): HostObject[] {
  const records = readRecords();
  return inventory(kinds, records).filter(
    ({ kind, hostId: host }) => records.model.ownerOf(kind, hostId(host)).id === namespace.id,
  );
}

async function evictAll(namespace: Namespace, yes: boolean): Promise<string[]> {
  const objects = objectsOf(namespace);
  if (objects.length === 0) return [];
  if (!yes) {
    const names = objects.map(({ kind, hostId: host, name }) => `  ${kind} ${host}${name ? ` '${name}'` : ''}`);
    await confirm(`Detach and unpin the objects of '${namespace.path}'?\n${names.map(printable).join('\n')}\n[y/N] `);
  }
  return evict(objects, progress('object', objects.length));
}

async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CliError('cannot ask for confirmation: standard input is not a terminal; use --yes');
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question(question);
  prompt.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('nothing was changed');
}

/** What keeps a namespace alive. */
function remaining(namespace: Namespace): string[] {
  const tasks = new Set(readMembers().flatMap(({ ns, pid }) => (ns === namespace.id ? [pid] : [])));
  const reasons = [
    ...(tasks.size > 0 ? [`  processes ${[...tasks].join(', ')}`] : []),
    ...(namespace.children.size > 0 ? [`  ${namespace.children.size} namespaces below it`] : []),
    ...objectsOf(namespace).map((object) => {
      const because = reasonsAlive(object);
      return `  ${object.kind} ${object.hostId}: ${because.length > 0 ? because.join(', ') : 'a reference that the kernel does not list'}`;
    }),
  ];
  return [`namespace '${namespace.path}' ends when these are gone:`, ...reasons];
}

/** @param pid a process or thread id, or 'self' for the caller of bpfns */
export function of(pid: string, asJson: boolean): string {
  const { id, path, level } = pid === 'self' ? ofSelf() : ofTask(Number(pid));
  const inode = inodeOf(namespaceId(id));
  return asJson ? json({ id, inode, path, level }) : `bpf:[${inode}]  ${path}  level ${level}`;
}

interface Membership {
  readonly id: number;
  readonly path: string;
  readonly level: number;
}

/** From inside, the names of the namespaces above are unknown. */
function ofSelf(): Membership {
  const own = ownNamespace();
  return own ? { ...own, path: own.name || String(own.id) } : { id: INIT, path: 'init', level: 0 };
}

/** Reads the recorder's map: membership outlives the agent. */
function ofTask(tid: number): Membership {
  const { model } = readRecords();
  const namespace = model.get(namespaceOfTask(tid));
  if (!namespace) throw new CliError(`process ${tid} has only just been put into its namespace: try again`);
  return namespace;
}

/** Lists tasks, one line per process. */
export function ps(wanted: string | undefined, asJson: boolean): string {
  const { model } = readRecords();
  const only = wanted === undefined ? undefined : findNamespace(model, wanted);
  // A process is listed once for each namespace that one of its threads is in. Its leader may have
  // exited.
  const rows = new Map(
    readMembers()
      .filter(({ ns }) => !only || ns === only.id)
      .map(({ ns, pid, comm }) => [`${ns} ${pid}`, { namespace: ns, pid, comm }]),
  );
  const processes = [...rows.values()].map((row) => ({
    ...row,
    path: model.get(namespaceId(row.namespace))?.path ?? String(row.namespace),
  }));
  if (asJson) return json({ processes });
  return table(
    [
      { title: 'PID', align: 'right', value: ({ pid }) => String(pid) },
      { title: 'NAMESPACE', value: ({ path }) => path },
      { title: 'COMMAND', value: ({ comm }) => comm },
    ],
    processes,
  );
}
