/** Nothing of bpfns outlives the last namespace, and nothing grows before. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { kinds } from '../../src/model/ids.js';
import { mapForEach, objGet } from '../../src/sys/bpf.js';
import { bpfns_counter, bpfns_id_key, bpfns_namespace, bpfns_object } from '../../src/sys/contract.gen.js';
import { close } from '../../src/sys/libc.js';
import {
  agentGone,
  agentsOf,
  asContainerUser,
  bpfns,
  bpfnsPath,
  compared,
  guestPath,
  hostState,
  inNamespace,
  leavesNothingBehind,
  limited,
  removePins,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { limit, times } from '../support/slowness.js';

// These tests observe how the agent exits by itself. It need not stay for the next test.
process.env.BPFNS_LINGER_MS = '300';

const anHour = { BPFNS_LINGER_MS: '3600000' };

/** Starts a guest that runs until {@link end}. Resolves once it has printed a line. */
async function begin(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const guest = spawn('timeout', limited(900, [bpfnsPath, 'run', '--', ...command]), {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => guest.stdout?.once('data', resolve));
  return guest;
}

async function end(guest: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => guest.once('exit', resolve));
  guest.stdin?.end();
  await gone;
}

const waiting = ['sh', '-c', 'echo; cat >/dev/null'];

/** Kills the agent and, since that would start another one, its supervisor. */
async function killAgent(signal: NodeJS.Signals): Promise<void> {
  const [pid = '0', ...others] = agentsOf(runDir ?? '');
  assert.deepEqual(others, []);
  const supervisor = /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
  if (signal === 'SIGKILL') process.kill(Number(supervisor), signal);
  process.kill(Number(pid), signal);
  await until(
    () => !existsSync(`/proc/${pid}`) && !existsSync(`/proc/${supervisor}`),
    `${signal} did not end the agent`,
  );
}

describe('when the last namespace is gone nothing is left', { skip: skipReason }, () => {
  leavesNothingBehind();

  const guests: ReadonlyArray<readonly [what: string, script: string]> = [
    ['of a command that did nothing', 'true'],
    ['of a command that listed everything', 'bpftool map list; bpftool prog list; bpftool link list; bpftool btf list'],
    ['of a loader killed while attached', `timeout -s KILL 0.5 ${guestPath('attach')} || true`],
    ['of pins that were removed', 'bpftool map create $P/m type array key 4 value 4 entries 1 name m; rm $P/m'],
    ['of background processes', '(sleep 0.3; bpftool map list) >/dev/null & exit 0'],
  ];
  for (const [what, script] of guests) {
    test(what, async () => {
      const before = hostState();
      assert.equal(inNamespace(script).status, 0);
      await agentGone();
      removePins();
      const isBack = (): boolean => isDeepStrictEqual(...compared(before));
      await until(isBack, 'something stayed').catch(() => undefined);
      assert.deepEqual(...compared(before));
    });
  }

  test('of a pin, which keeps its namespace until it is removed', async () => {
    assert.equal(inNamespace('bpftool map create $P/kept type array key 4 value 4 entries 1 name kept').status, 0);
    await new Promise((resolve) => setTimeout(resolve, limit(300) + 1200)); // several times as long as the agent waits
    assert.equal(agentsOf(runDir ?? '').length, 1);
    removePins();
    await agentGone();
  });
});

/** Everything that could grow: in the agent, in the kernel, on disk. */
function sizes(): Record<string, number> {
  const [agent = ''] = agentsOf(runDir ?? '');
  const entries = (name: string, keySize: number, valueSize: number): number => {
    const fd = objGet(`${runDir}/bpf/maps/${name}`);
    let count = 0;
    mapForEach(fd, keySize, valueSize, () => count++);
    close(fd);
    return count;
  };
  const { objects, mounts } = hostState();
  return {
    'fds of the agent': readdirSync(`/proc/${agent}/fd`).length,
    'threads of the agent': readdirSync(`/proc/${agent}/task`).length,
    'namespaces in the recorder': entries('namespaces', 4, bpfns_namespace.sizeof),
    'counters in the recorder': entries('counters', 8, bpfns_counter.sizeof),
    'objects in the recorder': entries('objects', 8, bpfns_object.sizeof),
    'ids in the recorder': entries('ids', bpfns_id_key.sizeof, 4),
    ...Object.fromEntries(kinds.map((kind) => [`${kind}s of the host`, objects[kind]?.length ?? 0])),
    mounts: mounts.length,
    'files in the run directory': readdirSync(runDir ?? '', { recursive: true }).length,
  };
}

function residentKb(): number {
  const [agent = ''] = agentsOf(runDir ?? '');
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${agent}/status`, 'latin1'))?.[1]);
}

const RUNS = times(500);

describe(`${RUNS} namespaces one after the other`, { skip: skipReason }, () => {
  leavesNothingBehind();

  test('nothing grows', { timeout: limit(900_000) }, async (t) => {
    const lifecycle = await begin(waiting, anHour);
    t.after(async () => {
      await end(lifecycle);
      await killAgent('SIGTERM');
    });
    const runs = (count: number): void => {
      const loop = `i=0; while [ $i -lt ${count} ]; do "$@" || exit 1; i=$((i + 1)); done`;
      const { status, stderr } = run(['sh', '-c', loop, 'sh', bpfnsPath, 'run', 'true'], { timeoutSeconds: 300 });
      assert.equal(status, 0, stderr);
    };
    runs(Math.ceil(RUNS / 10));
    await until(() => sizes()['namespaces in the recorder'] === 1, 'namespaces have not ended');
    const before = sizes();
    runs(Math.ceil(RUNS * 0.45));
    const middle = residentKb();
    runs(Math.ceil(RUNS * 0.45));
    // Listeners close, and objects go, a moment after their namespace.
    const larger = (): unknown[] => Object.entries(sizes()).filter(([what, size]) => size > (before[what] ?? 0));
    await until(() => larger().length === 0, 'something has grown').catch(() => undefined);
    assert.deepEqual(larger(), []);
    const grown = residentKb() - middle;
    assert.ok(grown < 8192, `resident memory grew by ${grown} KiB in the second half`);
  });
});

describe('an agent that ends before its namespaces', { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`${signal}: the next one takes over what is pinned, and cleans up`, async () => {
      const survivor = await begin([...asContainerUser, ...waiting]);
      assert.equal(inNamespace('bpftool map create $P/kept type array key 4 value 4 entries 1 name kept').status, 0);
      await killAgent(signal);
      assert.ok(existsSync(`${runDir}/bpf/links`));

      const { stdout } = inNamespace(
        'bpftool map create $P/new type array key 4 value 4 entries 1 name new; bpftool -j map show id 1',
      );
      assert.equal((JSON.parse(stdout) as { name: string }).name, 'new');
      const { objects } = JSON.parse(bpfns(['map', 'list', '--json']).stdout) as {
        objects: { name: string; id: number; namespace: { id: number } }[];
      };
      const owned = objects.filter(({ namespace }) => namespace.id !== 0);
      assert.deepEqual(Object.fromEntries(owned.map(({ name, id }) => [name, id])), { kept: 1, new: 1 });
      removePins();
      await end(survivor);
      await agentGone();
    });
  }

  test('SIGTERM with no namespace left: everything goes at once', async () => {
    assert.equal(bpfns(['run', 'true'], { env: anHour }).status, 0);
    await until(() => sizes()['namespaces in the recorder'] === 0, 'the namespace has not ended');
    await killAgent('SIGTERM');
    assert.ok(!existsSync(runDir ?? ''));
  });
});
