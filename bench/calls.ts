/** Single calls: trapped ones, untrapped ones, creations, and with many objects. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import {
  BPFNS,
  calls,
  compare,
  GUEST,
  guest,
  inC,
  inside,
  native,
  only,
  pinned,
  type Row,
  residentMemory,
  run,
  whileActive,
} from './measure.js';
import { mebibytes, table } from './report.js';

const ROUNDS = 3000;
/** Enough for the agent's code to be compiled. */
const WARM_UP = 15000;
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

/** Both sides on the last CPU. */
function trappedOnOneCpu(pid: number, what: string): Row {
  const cpu = cpus().length - 1;
  const [ours, theirs] = [only(cpu, inside), only(cpu, inC)];
  return pinned(pid, cpu, () => {
    guest(ours, what, WARM_UP);
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
  return whileActive(({ pid }) => {
    const rows = ['get_next_id', 'get_fd_by_id', 'map_info'].map((what) =>
      compare(
        what,
        () => guest(inside, what, ROUNDS, 1, size),
        () => {
          untilAlone();
          return guest(inside, what, ROUNDS, 1, SMALL);
        },
        1.3,
        3,
      ),
    );
    const [few, many] = [memoryBeside(pid, SMALL), memoryBeside(pid, size)];
    const each = (of: 'resident' | 'maps'): number => Math.round((many[of] - few[of]) / (size - SMALL));
    return `Another map each time. Beside them the agent has ${mebibytes(many.resident)} resident and the recorder's maps take
${mebibytes(many.maps)}: beyond what they take beside ${SMALL}, ${each('resident')} and ${each('maps')} bytes an object.

${table(rows, size.toLocaleString('en'), `${SMALL} maps`)}`;
  });
}

/** Until the last guest's objects are gone. */
function untilAlone(): void {
  const left = (): number => (JSON.parse(run([BPFNS, 'ls', '--json'])) as { namespaces: unknown[] }).namespaces.length;
  // Init and the one that keeps the agent.
  while (left() > 2);
}

const SEEN = 'build/bench/memory-seen';

/** What the agent and the recorder's maps take while there are that many maps inside, in bytes. */
function memoryBeside(pid: number, size: number): { resident: number; maps: number } {
  const look = `${GUEST} get_next_id 1 && cat /proc/${pid}/fdinfo/* >${SEEN}`;
  run([...inside, GUEST, 'maps', String(size), '1', 'sh', '-c', look]);
  // The fds are copied from each other: each map once.
  const maps = readFileSync(SEEN, 'latin1').matchAll(/^memlock:\t(\d+)\nmap_id:\t(\d+)/gm);
  const bytes = new Map([...maps].map(([, memory, id]) => [id, Number(memory)]));
  return { resident: residentMemory(pid), maps: [...bytes.values()].reduce((sum, each) => sum + each, 0) };
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
        calls(what, native, what === 'link_create' ? 20 : 500, 1, 1.3),
      ),
    ),
  );
}
