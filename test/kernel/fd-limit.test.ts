/** Nobody has a file descriptor left: a guest, or the agent. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { Guest } from '../support/guest.js';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  guestPath,
  leavesNothingBehind,
  run,
  runDir,
  skipReason,
  until,
} from '../support/host.js';

const COMPLETE = [' 1 2 3, then No such file or directory'];

function agent(): string {
  const [pid = ''] = agentsOf(runDir ?? '');
  return pid;
}

function numbers(): number[] {
  return readdirSync(`/proc/${agent()}/fd`).map(Number);
}

/** Descriptors of the agent for the processes of its clients: a pidfd each. */
function peers(): number {
  const links = run(['find', `/proc/${agent()}/fd`, '-lname', 'anon_inode:*pidfd*']).stdout;
  return links.split('\n').length - 1;
}

/** Lets one client connect and stay, and then others until the agent has no room for another one. */
async function fillUp(): Promise<Socket[]> {
  const connections: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const connection = connect(`${runDir}/agent.sock`);
    connections.push(connection);
    isFull = await new Promise((resolve) => {
      connection.once('data', (answer) => resolve(String(answer).includes('too many open files')));
      // Nor for the connection itself.
      for (const event of ['error', 'close']) connection.on(event, () => resolve(true));
      connection.write('{"op":"status"}\n');
    });
    if (connections.length === 1) setLimit(Math.max(...numbers()) + 1);
  }
  return connections;
}

function setLimit(most: number): void {
  assert.equal(run(['prlimit', `--nofile=${most}:`, '--pid', agent()]).status, 0);
}

function limit(): number {
  const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${agent()}/limits`, 'latin1')) ?? [];
  return Number(soft);
}

const mayRaise = run(['prlimit', '--nofile=100:200', 'prlimit', '--nofile=300:300', 'true']).status === 0;

describe('the limit of the agent', { skip: skipReason || (!mayRaise && 'CAP_SYS_RESOURCE is missing here') }, () => {
  leavesNothingBehind();

  test('is high, whatever that of the command which starts it', async () => {
    const guest = new Guest(['prlimit', '--nofile=100:200', bpfnsPath, 'run', '--', guestPath('full')]);
    await guest.printed('done');
    const found = limit();
    await guest.end();
    assert.ok(found >= 65536, `the agent's limit is ${found}`);
  });
});

describe('without a file descriptor left,', { skip: skipReason }, () => {
  leavesNothingBehind(async () => void (await guest.end()));
  let guest: Guest;
  let most: number;
  before(async () => {
    guest = Guest.bpfns(['run', '--name', 'full', '--', guestPath('full')]);
    await guest.printed('done');
    most = limit();
  });

  test('an agent lists and opens as before, and refuses new namespaces', async () => {
    const connections = await fillUp();
    assert.ok(peers() > 0);
    assert.deepEqual(await guest.ask('list'), COMPLETE);
    const { status, stderr } = bpfns(['run', '--', 'true']); // tries until it is told
    assert.equal(status, 125);
    assert.match(stderr, /too many open files/);
    assert.deepEqual(await guest.ask('list'), COMPLETE);
    setLimit(most);
    await until(() => bpfns(['run', '--', 'true']).status === 0, 'no namespace can be created');
    for (const connection of connections) connection.destroy();
    await until(() => peers() === 0, 'the agent keeps descriptors of clients that are gone');
  });

  test('and without one in reserve, an agent fails, and ends no list early', async () => {
    setLimit(0);
    const [list] = await guest.ask('list');
    setLimit(most);
    assert.match(list ?? '', /^(?: \d Cannot allocate memory)*, then Cannot allocate memory$/);
    assert.deepEqual(await guest.ask('list'), COMPLETE);
  });

  test('a guest that has none left gets EMFILE, and can still list', async () => {
    const none = 'Too many open files';
    assert.deepEqual(await guest.ask('full'), [` 1 ${none} 2 ${none} 3 ${none}, then No such file or directory`]);
  });
});
