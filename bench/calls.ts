/** Measures single calls: trapped, untrapped, creations, and with many objects. */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import {
  BPFNS,
  calls,
  compare,
  guest,
  inC,
  inGo,
  inside,
  minimal,
  native,
  only,
  pinned,
  type Row,
  run,
  type Side,
  warmUp,
  whileActive,
} from './measure.js';
import { table } from './report.js';

const ROUNDS = 3000;
const trapped = [
  'get_next_id',
  'get_fd_by_id',
  'prog_get_fd_by_id',
  'map_info',
  'prog_info',
  'link_info',
  'btf_info',
  'prog_query',
  'root:prog_info',
] as const;

/** Runs both sides on the last CPU. */
function trappedOnOneCpu(pid: number, what: string): Row {
  const cpu = cpus().length - 1;
  const [ours, theirs] = [only(cpu, inside), only(cpu, inC)];
  return pinned(pid, cpu, () => {
    warmUp(what, ours);
    return compare(
      what,
      () => guest(ours, what, ROUNDS),
      () => guest(theirs, what, ROUNDS),
      1.15,
    );
  });
}

export function trappedCalls(): Promise<string> {
  return whileActive(
    ({
      pid,
    }) => `Agent, responder and caller on one CPU, so that the figure is of the work and not of where the kernel wakes whom.
${'`root:`'} is a caller with CAP_SYSLOG too: the agent takes that on for the call. The responder gives each answer by the
same system calls. What remains, and why: docs/decisions/0015.

${table(
  trapped.map((what) => trappedOnOneCpu(pid, what)),
  'bpfns',
  'C',
)}`,
  );
}

/** The goals against the minimal responder, by call. */
const goals = { get_next_id: 1.35, get_fd_by_id: 1.5, map_info: 1.6, prog_info: 1.6 } as const;
const GO_GOAL = 1.15;

function againstMinimal(other: Side, goalOf: (call: keyof typeof goals) => number): Row[] {
  return (Object.keys(goals) as Array<keyof typeof goals>).map((what) => {
    warmUp(what);
    return calls(what, other, ROUNDS, 1, goalOf(what));
  });
}

export function minimalCalls(): Promise<string> {
  return whileActive(
    () => `The responder makes only the system calls that the least safe answer needs: it opens the caller's memory, checks
that the caller still waits, reads, acts, writes and answers. It asks for nobody's rights, has no journal, and
translates nothing. It hands over an fd and answers in one step, after which an answer of 0 is left if it is killed
(docs/decisions/0012). On all CPUs.

${table(
  againstMinimal(minimal, (what) => goals[what]),
  'bpfns',
  'minimal C',
)}`,
  );
}

/** The same in the language of most agents. */
export function goCalls(): Promise<string> {
  if (!existsSync(inGo[0] ?? '')) return Promise.resolve('Not measured: Go is not installed (Debian: golang-go).');
  return whileActive(
    () => `The minimal responder in Go. On all CPUs.

${table(
  againstMinimal(inGo, () => GO_GOAL),
  'bpfns',
  'minimal Go',
)}`,
  );
}

export function placedCalls(): Promise<string> {
  return whileActive(
    () => `The same on all CPUs. Handing over an fd (SECCOMP_IOCTL_NOTIF_ADDFD) wakes the caller in the middle of the answer, and
no flag keeps that wake-up on the CPU: where another one idles, the kernel may move the caller there, and this wake-up,
the one back and the next cross CPUs. That strikes both sides, at random. obj_get is looked up by a thread that takes
the caller's root, directory and credentials (docs/decisions/0007); the responder looks it up itself, as itself.

${table(
  ['get_next_id', 'get_fd_by_id', 'map_info', 'obj_get'].map((what) =>
    calls(what, inC, what === 'obj_get' ? 500 : ROUNDS, 1),
  ),
  'bpfns',
  'C',
)}`,
  );
}

const SMALL = 10;

export function manyObjects(size: number): Promise<string> {
  const row = (what: string): Row =>
    compare(
      what,
      () => guest(inside, what, ROUNDS, 1, size),
      () => {
        untilAlone();
        return guest(inside, what, ROUNDS, 1, SMALL);
      },
      1.3,
      3,
    );
  const whats = ['get_next_id', 'get_fd_by_id', 'map_info'];
  return whileActive(
    () => `Another map each time.\n\n${table(whats.map(row), size.toLocaleString('en'), `${SMALL} maps`)}`,
  );
}

/** Waits until the objects of the last guest are gone. */
function untilAlone(): void {
  const left = (): number => (JSON.parse(run([BPFNS, 'ls', '--json'])) as { namespaces: unknown[] }).namespaces.length;
  // Init and the namespace that keeps the agent.
  while (left() > 2);
}

export function untrappedCalls(): Promise<string> {
  return whileActive(() =>
    table(['lookup', 'update', 'test_run', 'getppid'].map((what) => calls(what, native, 300, 1000, 1.1))),
  );
}

export function creations(): Promise<string> {
  return whileActive(() =>
    table(
      ['map_create', 'prog_load', 'link_create'].map((what) =>
        calls(what, native, what === 'link_create' ? 20 : 5000, 1, 1.3),
      ),
    ),
  );
}
