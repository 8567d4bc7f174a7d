/** `bpfns create|rm|of|ps|ls`: namespaces for people. */
import { createInterface } from 'node:readline/promises';
import { AgentClient, AgentError } from '../control/client.js';
import { printable } from '../control/printable.js';
import type { CreateRequest, NamespaceReply } from '../control/protocol.js';
import type { NamespaceUsage } from '../control/usage.js';
import { ownNamespace } from '../filter/own-command.js';
import { evict } from '../host/evict.js';
import { containerTitle } from '../model/container.js';
import type { HostObject } from '../model/host-object.js';
import { INIT, inodeOf, type Kind, kinds, namespaceId } from '../model/ids.js';
import { CliError } from './cli-error.js';
import { findNamespace, namespaceOf, namespaces, objects, processes, report } from './host-view.js';
import { type Column, json, progress, table } from './output.js';
import { bytes } from './quantities.js';

const containers: Column<NamespaceUsage> = {
  title: 'CONTAINER',
  value: (namespace) => namespace.containers.map(containerTitle).join(','),
};

const columns: readonly Column<NamespaceUsage>[] = [
  { title: 'ID', align: 'right', value: ({ id }) => String(id) },
  { title: 'NAME', value: ({ name }) => name },
  { title: 'LEVEL', align: 'right', value: ({ level }) => String(level) },
  { title: 'PARENT', align: 'right', value: ({ parent }) => (parent === null ? '' : String(parent)) },
  { title: 'TASKS', align: 'right', value: ({ tasks }) => (tasks === null ? '' : String(tasks)) },
  ...kinds.map((kind): Column<NamespaceUsage> => {
    return { title: `${kind.toUpperCase()}S`, align: 'right', value: ({ objects }) => String(objects[kind]) };
  }),
  { title: 'TRACING', value: ({ id, tracing }) => (id === 0 ? '' : tracing) },
  { title: 'STATE', value: ({ id, orphaned, keep }) => (orphaned ? 'orphaned' : keep && id !== 0 ? 'kept' : '') },
];

const BAR = 10;

/** The namespaces as a table, a tree with the memory of each, or JSON. */
export async function list(asJson: boolean, asTree: boolean): Promise<string> {
  const all = await namespaces();
  if (asJson) return json({ namespaces: all.map((each) => ({ inode: inodeOf(namespaceId(each.id)), ...each })) });
  const hasContainers = all.some((each) => each.containers.length > 0);
  const shown = hasContainers ? [...columns, containers] : columns;
  return asTree ? tree(shown, all) : table(shown, all);
}

function tree(shown: ReadonlyArray<Column<NamespaceUsage>>, all: readonly NamespaceUsage[]): string {
  // Beside what the host itself has, guests' bars would all be empty.
  const most = Math.max(1, ...all.filter(({ id }) => id !== INIT).map(({ memory }) => memory));
  const bar = ({ memory }: NamespaceUsage): string =>
    `[${'#'.repeat(Math.min(BAR, Math.ceil((memory / most) * BAR))).padEnd(BAR, '.')}]`;
  const label = ({ id, name, level }: NamespaceUsage): string => `${'  '.repeat(level)}${name || id}`;
  const treeColumns = shown.map((column) => (column.title === 'NAME' ? { ...column, value: label } : column));
  const memoryColumn: Column<NamespaceUsage> = {
    title: 'MEMORY',
    align: 'right',
    value: ({ memory }) => bytes(memory),
  };
  const barColumn: Column<NamespaceUsage> = {
    title: 'OF LARGEST',
    value: (each) => (each.id === INIT ? '' : bar(each)),
  };
  return table([...treeColumns, memoryColumn, barColumn], depthFirst(all, null));
}

function depthFirst(all: readonly NamespaceUsage[], parent: number | null): NamespaceUsage[] {
  return all.filter((each) => each.parent === parent).flatMap((each) => [each, ...depthFirst(all, each.id)]);
}

export async function create(options: Omit<CreateRequest, 'op'>): Promise<void> {
  const agent = await AgentClient.connectOrStart();
  await agent.ask<NamespaceReply>({ op: 'create', ...options });
  agent.close();
}

/** @returns what was detached, and what still keeps the namespace alive */
export async function remove(wanted: string, options: { objects: boolean; yes: boolean }): Promise<string> {
  const namespace = findNamespace(await namespaces(), wanted);
  const done = options.objects ? await evictAll(namespace, options.yes) : [];
  const isLeft = await removeByAgent(namespace.id);
  return [...done, ...(isLeft ? await remaining(namespace) : [])].map(printable).join('\n');
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

async function objectsOf({ id }: NamespaceUsage): Promise<HostObject[]> {
  const all: HostObject[] = [];
  for (const kind of kinds) all.push(...(await objects(kind)).filter(({ namespace }) => namespace.id === id));
  return all;
}

/** The most objects that are told of one by one. To find out what keeps one alive takes a look at all. */
const SHOWN = 20;

function andMore({ path }: NamespaceUsage, { length }: readonly HostObject[]): string[] {
  const where = `'bpfns map list --ns ${path}', the same for prog, link and btf`;
  return length > SHOWN ? [`  and ${length - SHOWN} more: see ${where}`] : [];
}

async function evictAll(namespace: NamespaceUsage, yes: boolean): Promise<string[]> {
  const all = await objectsOf(namespace);
  if (all.length === 0) return [];
  if (!yes) {
    const names = [
      ...all.slice(0, SHOWN).map(({ kind, hostId: host, name }) => `  ${kind} ${host}${name ? ` '${name}'` : ''}`),
      ...andMore(namespace, all),
    ];
    await confirm(`Detach and unpin the objects of '${namespace.path}'?\n${names.map(printable).join('\n')}\n[y/N] `);
  }
  return evict(all, progress('object', all.length));
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
async function remaining({ id }: NamespaceUsage): Promise<string[]> {
  const all = await namespaces();
  const namespace = all.find((each) => each.id === id);
  if (!namespace) return [];
  const tasks = (await processes()).flatMap(({ namespace: its, pid }) => (its === id ? [pid] : []));
  const children = all.filter(({ parent }) => parent === id).length;
  const reasons = [
    ...(tasks.length > 0 ? [`  processes ${tasks.join(', ')}`] : []),
    ...(children > 0 ? [`  ${children} namespaces below it`] : []),
    ...(await remainingObjects(namespace)),
  ];
  return [`namespace '${namespace.path}' ends when these are gone:`, ...reasons];
}

async function remainingObjects(namespace: NamespaceUsage): Promise<string[]> {
  const all = await objectsOf(namespace);
  const lines: string[] = [];
  for (const { kind, hostId } of all.slice(0, SHOWN)) {
    const keptAliveBy = await reasonsOf(kind, hostId);
    if (!keptAliveBy) continue;
    const because = keptAliveBy.length > 0 ? keptAliveBy.join(', ') : 'a reference that the kernel does not list';
    lines.push(`  ${kind} ${hostId}: ${because}`);
  }
  return [...lines, ...andMore(namespace, all)];
}

/** What keeps an object alive; undefined if nothing did. */
async function reasonsOf(kind: Kind, hostId: number): Promise<readonly string[] | undefined> {
  try {
    return (await report(kind, hostId)).keptAliveBy;
  } catch (error) {
    if (error instanceof CliError) return undefined;
    throw error;
  }
}

/** @param pid a process or thread id, or 'self' for the caller of bpfns */
export async function of(pid: string, asJson: boolean): Promise<string> {
  const { id, path, level } = pid === 'self' ? ofSelf() : await namespaceOf(Number(pid));
  const inode = inodeOf(namespaceId(id));
  return asJson ? json({ id, inode, path, level }) : `bpf:[${inode}]  ${path}  level ${level}`;
}

/** From inside, the names of the namespaces above are unknown. */
function ofSelf(): Pick<NamespaceUsage, 'id' | 'path' | 'level'> {
  const own = ownNamespace();
  return own ? { ...own, path: own.name || String(own.id) } : { id: INIT, path: 'init', level: 0 };
}

/** Lists tasks, one line per process. */
export async function ps(wanted: string | undefined, asJson: boolean): Promise<string> {
  const all = await namespaces();
  const only = wanted === undefined ? undefined : findNamespace(all, wanted);
  const paths = new Map(all.map(({ id, path }) => [id, path]));
  // A process is listed once for each namespace that one of its threads is in.
  const found = (await processes())
    .filter(({ namespace }) => !only || namespace === only.id)
    .map((each) => ({ ...each, path: paths.get(each.namespace) ?? String(each.namespace) }));
  if (asJson) return json({ processes: found });
  return table(
    [
      { title: 'PID', align: 'right', value: ({ pid }) => String(pid) },
      { title: 'NAMESPACE', value: ({ path }) => path },
      { title: 'COMMAND', value: ({ comm }) => comm },
    ],
    found,
  );
}
