/** What one guest uses up, others do not miss: the budgets of top-level namespaces. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatusReply } from '../../src/control/protocol.js';
import { Guest } from '../support/guest.js';
import {
  agentsOf,
  bpfns,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  runDir,
  skipReason,
  until,
} from '../support/host.js';
import { eventsFromNow, followEvents } from '../support/watching.js';

/** Enough, 32 levels down, to fill the map of numbers if there were no budgets. */
const FLOOD = 17_500;
/** Of the default budget, and those at depth 32. */
const MAX_NUMBERS = 16384;
const LEVELS = 32;

async function budgetOf(name: string): Promise<StatusReply['budgets'][number]> {
  const { AgentClient } = await import('../../src/control/client.js');
  const client = await AgentClient.connect();
  try {
    const { budgets } = await (client as NonNullable<typeof client>).ask<StatusReply>({ op: 'status' });
    return budgets.find(({ path }) => path === name) as StatusReply['budgets'][number];
  } finally {
    client?.close();
  }
}

const oneMap = `${guestPath('thread')} info`;

describe('a guest that wants more than its budget', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('has no ids for what it makes beyond, and nobody else misses any', async () => {
    assert.equal(bpfns(['create', 'kept']).status, 0);
    const events = await eventsFromNow();
    const guest = Guest.bpfns(['run', '--name', 'flood', '--', guestPath('flood'), 'deep', String(FLOOD)]);
    await until(() => guest.lines.includes('done'), 'the flood has not ended', 240);
    const [, numbered] = /^32 levels, (\d+) of 32/.exec(guest.lines[0] ?? '') ?? [];
    assert.ok(Number(numbered) > 0 && Number(numbered) <= MAX_NUMBERS / LEVELS / 32, guest.lines[0]);

    // In another namespace, and in another below that.
    assert.equal(inNamespace(oneMap).stdout, '1\n');

    const budget = await budgetOf('flood');
    assert.equal(budget.unowned, FLOOD - budget.objects);
    assert.equal(budget.namespaces, LEVELS);
    assert.ok(
      budget.numbers <= budget.maxNumbers && budget.numbers > budget.maxNumbers - LEVELS,
      JSON.stringify(budget),
    );
    assert.equal((await budgetOf('kept')).unowned, 0);

    const told = (): unknown[] => events.seen().filter(({ event }) => event === 'over-budget');
    await until(() => told().length > 0, 'no event tells of it');
    const [{ what, path }] = told() as [{ what: string; path: string }];
    assert.deepEqual([what, path], ['objects', 'flood']);
    assert.equal(await guest.end(), 0);
    events.stop();
    assert.equal(bpfns(['rm', 'kept']).status, 0);
  });
});

describe('a budget', { skip: skipReason }, () => {
  leavesNothingBehind();
  const OBJECTS = 640;
  const NAMESPACES = 20; // the default is one for 32 objects
  const env = { BPFNS_MAX_OBJECTS: String(OBJECTS) };

  test('has so many namespaces and no more, while others go on making theirs', async () => {
    assert.equal(bpfns(['create', 'kept'], { env }).status, 0);
    const events = await eventsFromNow();
    const guest = Guest.bpfns(['run', '--name', 'many', '--', guestPath('flood'), 'siblings', '30']);
    await guest.printed('done');
    assert.deepEqual(guest.lines, [`made ${NAMESPACES - 1}, then ENOSPC`, 'done']);
    assert.equal(inNamespace(oneMap).stdout, '1\n');
    assert.equal((await budgetOf('many')).namespaces, NAMESPACES);
    await until(() => events.seen().some(({ what }) => what === 'namespaces'), 'no event tells of it');
    assert.equal(await guest.end(), 0);
    events.stop();
  });

  test('has room again when what was made is gone', () => {
    const script = `${guestPath('burst')} ${OBJECTS}
      until id=$(${oneMap}) && [ $id != 0 ]; do sleep 0.1; done; echo $id`;
    assert.equal(inNamespace(script).stdout, `${OBJECTS}\n${OBJECTS + 1}\n`);
    assert.equal(bpfns(['rm', 'kept']).status, 0);
  });
});

describe('a namespace that is refused', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('by a limit on their number is told as an event, whichever it is', async () => {
    assert.equal(bpfns(['create', 'one', '--max-namespaces', '1'], { env: { BPFNS_MAX_NAMESPACES: '2' } }).status, 0);
    assert.equal(bpfns(['create', 'below', '--parent', 'one']).status, 0);
    const events = followEvents();
    const isTold = (path: string): boolean =>
      events.seen().some((each) => each.event === 'over-budget' && each.what === 'namespaces' && each.path === path);
    await until(() => {
      for (const parent of ['init', 'one']) {
        const { stderr } = bpfns(['create', 'more', ...(parent === 'init' ? [] : ['--parent', parent])]);
        assert.match(stderr, /no more namespaces.*ENOSPC/);
      }
      return isTold('init') && isTold('one');
    }, 'no event tells of it');
    events.stop();
    for (const name of ['one/below', 'one']) assert.equal(bpfns(['rm', name]).status, 0);
  });
});

describe('the id of a namespace', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is not used again, whatever ends and whatever crashes', async () => {
    const create = (name: string): number => {
      assert.equal(bpfns(['create', name]).status, 0);
      const { namespaces } = JSON.parse(bpfns(['ls', '--json']).stdout);
      return namespaces.find((each: { name: string }) => each.name === name).id;
    };
    const kept = create('kept');
    const ended = create('ended');
    assert.equal(bpfns(['rm', 'ended']).status, 0);
    const [agent] = agentsOf(runDir ?? '');
    process.kill(Number(agent), 'SIGKILL');
    await until(() => ![undefined, agent].includes(agentsOf(runDir ?? '')[0]), 'no agent has come back');
    const next = create('next');
    assert.deepEqual([ended, next], [kept + 1, kept + 2]);
    for (const name of ['next', 'kept']) assert.equal(bpfns(['rm', name]).status, 0);
  });
});

describe('a task whose mark was lost', { skip: skipReason }, () => {
  leavesNothingBehind();

  test('is in no namespace: neither in that of its filter, nor are its children', async () => {
    const guest = Guest.bpfns(['run', '--name', 'top', '--', guestPath('flood'), 'lost']);
    await guest.printed('ready');
    const [, pid] = /^child (\d+)$/m.exec(guest.lines.join('\n')) ?? [];
    await loseMark(Number(pid));
    await guest.ask('x');
    assert.deepEqual(guest.lines.slice(2, -1), [
      'child: create ok, next EPERM, info EPERM',
      'grandchild: create ok, next EPERM, info EPERM',
    ]);
    assert.equal(await guest.end(), 0);
  });
});

/** Leaves what the recorder leaves where there is no memory for a child's mark. */
async function loseMark(pid: number): Promise<void> {
  const { mapDelete, mapLookup, mapUpdate, objGet } = await import('../../src/sys/bpf.js');
  const { bpfns_status } = await import('../../src/sys/contract.gen.js');
  const { u32Key } = await import('../../src/recorder/keys.js');
  const { close } = await import('../../src/sys/libc.js');
  const { openProcess } = await import('../../src/sys/task.js');
  using pidfd = openProcess(pid);
  const withMap = (name: string, use: (fd: number) => number): void => {
    const fd = objGet(`${runDir}/bpf/maps/${name}`);
    assert.equal(use(fd), 0, name);
    close(fd);
  };
  withMap('lost', (fd) => mapUpdate(fd, u32Key(pid), u32Key(1)));
  withMap('status', (fd) => {
    const status = Buffer.alloc(bpfns_status.sizeof);
    mapLookup(fd, u32Key(0), status);
    status.writeBigUInt64LE(1n, bpfns_status.lost_tasks);
    return mapUpdate(fd, u32Key(0), status);
  });
  withMap('tasks', (fd) => mapDelete(fd, u32Key(pidfd.number)));
}
