/** Files that take long to close: closing a copy of one waits for whoever serves it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import {
  agentsOf,
  bpfns,
  bpfnsPath,
  type Guest,
  guestPath,
  leavesNothingBehind,
  runDir,
  skipReason,
  start,
  startInNamespace,
} from '../support/host.js';
import { rootWithBpfAlone } from '../support/tracing.js';

const EINVAL = 22;
const EBADF = 9;
const ENOMEM = 12;
/** For how many files of a guest the agent waits, and how long until it waits for no more. */
const MOST = 4;
const LONG = 1000;

async function isRefusedAtLast(guest: Guest, way: string): Promise<void> {
  for (let i = 0; i < MOST; i++) assert.deepEqual(await guest.ask(way), [`${way} errno ${EINVAL}`]);
  await new Promise((resolve) => setTimeout(resolve, 2 * LONG));
  assert.deepEqual(await guest.ask(way), [`${way} errno ${ENOMEM}`]);
}

describe('a guest whose file is never closed', { skip: skipReason }, () => {
  const directory = mkdtempSync(`${tmpdir()}/bpfns-slow-close-`);
  const file = `${directory}/mount/file`;
  let server: Guest;
  let other: Guest;
  let agent: string[];
  leavesNothingBehind();
  before(async () => {
    mkdirSync(`${directory}/mount`);
    writeFileSync(`${directory}/content`, 'x');
    server = await start([guestPath('fuse-file'), `${directory}/mount`, `${directory}/content`, 'hold']);
    other = await startInNamespace('echo ready; while read -r _; do bpftool map list; echo end; done');
    agent = agentsOf(runDir ?? '');
  });
  after(async () => {
    // Everybody who waits is told of its end.
    await server.end();
    await other.end();
    rmSync(directory, { recursive: true });
  });
  const startGuest = (tracing: 'host' | 'own', path = file): Promise<Guest> =>
    start([
      bpfnsPath,
      'run',
      `--tracing=${tracing}`,
      '--',
      ...(tracing === 'own' ? rootWithBpfAlone : []),
      guestPath('slow-close'),
      path,
    ]);
  const othersAreAnswered = async (): Promise<void> => {
    assert.deepEqual(await other.ask('list', 'end'), []);
    assert.equal(bpfns(['run', '--', 'true'], { timeoutSeconds: 20 }).status, 0);
    assert.deepEqual(agentsOf(runDir ?? ''), agent);
  };

  test('gets the errors of the kernel, then ENOMEM, and keeps nobody else waiting', async () => {
    const guest = await startGuest('host');
    await isRefusedAtLast(guest, 'info');
    await othersAreAnswered();
  });

  test('does not do so by PROG_QUERY either', async () => {
    const guest = await startGuest('host');
    assert.deepEqual(await guest.ask('query'), [`query errno ${EBADF}`]);
    await othersAreAnswered();
  });

  test('does not keep those waiting whose programs the agent loads', async () => {
    const guest = await startGuest('own');
    await isRefusedAtLast(guest, 'load');
    const another = await startGuest('own', `${directory}/content`);
    assert.deepEqual(await another.ask('load'), [`load errno ${EINVAL}`]);
    await another.end();
    await othersAreAnswered();
  });

  test('does not keep others waiting for an agent that it keeps from ending', async () => {
    const guest = await startGuest('host');
    assert.deepEqual(await guest.ask('info'), [`info errno ${EINVAL}`]);
    process.kill(Number(agent[0]), 'SIGKILL');
    assert.deepEqual(await other.ask('list', 'end'), []);
    assert.ok(agentsOf(runDir ?? '').some((pid) => !agent.includes(pid)));
  });
});
