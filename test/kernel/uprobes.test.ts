/** Uprobes of a guest with tracing=own: it sees its own tasks, and does no harm to others who run the same file. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { keepsReturnsApart } from '../../src/sys/uprobe.js';
import {
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  run,
  skipReason,
  start,
  until,
} from '../support/host.js';
import { counts, endTracer, nobodyWithBpfAlone, rootWithBpfAlone } from '../support/tracing.js';
import { eventsFromNow } from '../support/watching.js';

const directory = mkdtempSync('/tmp/bpfns-uprobes-');
const probed = guestPath('probed');
const files = {
  OWN_FILE: `${directory}/own`,
  OVERLAY_FILE: `${directory}/merged/own`,
  FUSE_FILE: `${directory}/fuse/file`,
};
const NOBODY = 65534;
const EACCES = 13;

/** The probed program under a name of its own. */
const calls = (name: string, times: number): string => `${directory}/${name} calls ${times}`;

/** Calls the same function of the same file all the time, on the host. */
function hostThatCalls(): Disposable {
  const host = spawn('sh', ['-c', `while :; do ${calls('gamma', 2000)}; done`]);
  return { [Symbol.dispose]: () => void host.kill() };
}

/**
 * bpftrace in a namespace with tracing=own, and a command of the shell beside it. The command begins when
 * told (`go`), and once each probe has seen a first call. @param probes what it attaches to, and what it does
 */
async function trace(probes: ReadonlyArray<readonly [probe: string, action: string]>, beside: string): Promise<Guest> {
  const script = probes.map(
    ([probe, action], i) => `${probe} { if (comm == "first") { printf("sees ${i}\\n"); } else { ${action} } }`,
  );
  const shell = `
    bpftrace -e "$SCRIPT" >"$OUT" 2>&1 & tracer=$!
    until [ "$(grep ^sees "$OUT" | sort -u | wc -l)" = ${probes.length} ]; do
      kill -0 $tracer || { cat "$OUT"; exit 1; }
      ${calls('first', 1)}; sleep 0.1
    done
    echo ready; read -r _; ${beside}; echo done; read -r _ || true
    ${endTracer}; grep -v ^sees "$OUT"`;
  const env = { SCRIPT: script.join('\n'), OUT: `${mkdtempSync(`${directory}/out-`)}/text` };
  return start([bpfnsPath, 'run', '--tracing=own', '--', ...rootWithBpfAlone, 'sh', '-c', shell], env);
}

/** What the guest `probed` says, as a user with CAP_BPF alone, whose parent is of root. */
function uprobes(what: string, env: NodeJS.ProcessEnv = {}): string {
  const asNobody = ['sh', '-c', '"$@"; true', 'sh', ...nobodyWithBpfAlone, probed, what];
  const { stdout, stderr } = bpfns(['run', '--tracing=own', '--', ...asNobody], { env });
  assert.equal(stderr, '');
  return stdout;
}

/** Cgroups of agents that are gone. */
function leftCgroups(): string[] {
  return readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' }).filter((path) => {
    const [, agent] = /bpfns-empty-(\d+)$/.exec(path) ?? [];
    return agent !== undefined && !existsSync(`/proc/${agent}`);
  });
}

describe('uprobes with tracing=own', { skip: skipReason }, () => {
  leavesNothingBehind(() => {
    run(['umount', `${directory}/merged`]);
    rmSync(directory, { recursive: true });
  });
  before(() => {
    for (const name of ['first', 'alpha', 'beta', 'gamma']) symlinkSync(probed, `${directory}/${name}`);
    chmodSync(directory, 0o755);
    for (const name of ['lower', 'upper', 'work', 'merged', 'fuse']) mkdirSync(`${directory}/${name}`);
    for (const copy of ['own', 'lower/own']) {
      copyFileSync(probed, `${directory}/${copy}`);
      chownSync(`${directory}/${copy}`, NOBODY, NOBODY);
    }
    const layers = ['lower', 'upper', 'work'].map((name) => `${name}dir=${directory}/${name}`).join(',');
    const { stderr } = run(['mount', '-t', 'overlay', '-o', layers, 'overlay', `${directory}/merged`]);
    assert.equal(stderr, '');
  });
  after(() => assert.deepEqual(leftCgroups(), []));

  test('each of two namespaces sees all its own calls of a function, and not one of the other or of the host', async () => {
    using _host = hostThatCalls();
    const names = ['alpha', 'beta'];
    const probe = [`uprobe:${probed}:probed_function`, '@[comm] = count();'] as const;
    const guests = await Promise.all(names.map((name) => trace([probe], calls(name, 20_000))));
    await Promise.all(guests.map((guest) => guest.ask('go', 'done')));
    await Promise.all(guests.map((guest) => guest.end()));
    guests.forEach((guest, i) => {
      assert.deepEqual(counts(guest.output()), { [names[i] ?? '']: 20_000 });
    });
  });

  test('arguments, return values and USDT probes are those of the own tasks', async () => {
    using _host = hostThatCalls();
    const guest = await trace(
      [
        [`uprobe:${probed}:probed_function`, '@["entry", comm, arg0] = count();'],
        [`uretprobe:${probed}:probed_function`, '@["return", comm, retval] = count();'],
        [`usdt:${probed}:bpfns:probed`, '@["usdt", comm, (uint64)0] = count();'],
      ],
      calls('alpha', 2),
    );
    await guest.ask('go', 'done');
    await guest.end();
    assert.deepEqual(counts(guest.output()), {
      'entry, alpha, 0': 1,
      'entry, alpha, 1': 1,
      'return, alpha, 1': 1,
      'return, alpha, 2': 1,
      'usdt, alpha, 0': 2,
    });
  });

  test('a program of a user with CAP_BPF alone counts exactly, by ioctl and by link, with cookie and address', () => {
    using _host = hostThatCalls();
    const knowsAddress = keepsReturnsApart(); // since 6.6; this is of 6.13
    const [byIoctl, byLink] = uprobes('program').trimEnd().split('\n');
    assert.equal(byIoctl?.slice(0, -1), 'ioctl count 1000 cookie 0 at-function ');
    assert.equal(byLink?.slice(0, -1), 'link count 1000 cookie 77 at-function ');
    if (knowsAddress) for (const line of [byIoctl, byLink]) assert.match(line, /at-function 1$/);
  });

  test('an event for all tasks counts nobody, and one for the caller counts the caller', () => {
    using _host = hostThatCalls();
    assert.equal(uprobes('count'), 'all 0 own 1000\n');
  });

  test('a breakpoint goes where an instruction begins, and a semaphore is what the notes say', async () => {
    const server = await start([guestPath('fuse-file'), `${directory}/fuse`, probed]);
    const foreign = spawn('sleep', ['60']);
    try {
      const lines = uprobes('try', { FOREIGN: String(foreign.pid), ...files })
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' '));
      const found = Object.fromEntries(lines.map(([name = '', ...values]) => [name, values.map(Number)]));
      const [yes, yesWithSemaphore, no] = [
        [0, 0],
        [0, 1],
        [EACCES, 0],
      ];
      assert.deepEqual(found, {
        function: yes,
        'function-of-own': yes,
        'function-of-pid': yes,
        entry: yes,
        // Without one it gets that of the notes: otherwise others could not attach with it.
        usdt: yesWithSemaphore,
        'usdt-with-semaphore': yesWithSemaphore,
        // Debian 12's bcc passes any number.
        'usdt-with-other-semaphore': yesWithSemaphore,
        'function-with-semaphore': yes,
        'behind-function': no,
        'behind-function-of-own': no,
        'behind-usdt': no,
        header: no,
        data: no,
        end: no,
        huge: no,
        // It can kill others, unless whoever runs the file trusts the caller anyway.
        return: no,
        'return-of-own': keepsReturnsApart() ? yes : no,
        'return-of-pid': keepsReturnsApart() ? yes : no,
        'return-of-root': no,
        // What the caller would write is a copy: others run the lower file.
        'return-on-overlay': no,
        'return-in-own-file': yes,
        'return-of-entry': no,
        'return-of-usdt': no,
        kind: no,
        foreign: [3, 0],
        nobody: [3, 0],
        'no-cpu': [22, 0],
        cgroup: no,
        group: no,
        'no-path': [14, 0],
        'no-file': [2, 0],
        directory: [22, 0],
        device: [22, 0],
        // Its server could keep the kernel waiting, with all of tracing.
        fuse: no,
        text: no,
        unreadable: no,
        'other-process': no,
      });
    } finally {
      foreign.kill();
      await server.end();
    }
  });

  test('an event says why a breakpoint is refused', async () => {
    assert.equal(bpfns(['create', 'kept']).status, 0);
    const events = await eventsFromNow();
    try {
      const server = await start([guestPath('fuse-file'), `${directory}/fuse`, probed]);
      uprobes('try', { FOREIGN: '1', ...files });
      await server.end();
      const reasons = (): string[] => events.seen().map(({ reason }) => String(reason));
      for (const reason of [
        /^a uprobe at offset 0x\w+: neither a function nor a USDT probe is there, by the file's own tables$/,
        /^a return probe at offset 0x\w+: it can kill others who run this file/,
        /^a uprobe in a file of FUSE/,
        /^a uprobe in a file whose functions are not known: it is not a 64-bit ELF file$/,
      ]) {
        await until(() => reasons().some((each) => reason.test(each)), `no event says: ${reason}`);
      }
    } finally {
      events.stop();
      assert.equal(bpfns(['rm', 'kept']).status, 0);
    }
  });
});
