/** Connecting to agents that are not there, or not for long. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { after, test } from 'node:test';

const directory = mkdtempSync(`${tmpdir()}/bpfns-`);
process.env.BPFNS_RUN_DIR = directory;
// Not before the run directory is set.
const { AgentClient } = await import('./client.js');
const { Client } = await import('./api.js');
after(() => rmSync(directory, { recursive: true }));

test('where there is no socket there is no agent', async () => {
  assert.equal(await AgentClient.connect(), undefined);
});

test('an agent that leaves before it takes the connection is none', async () => {
  const server = createServer().listen(`${directory}/agent.sock`);
  await once(server, 'listening');
  // The connection waits in the queue, and ends with it.
  const client = AgentClient.connect();
  server.close();
  assert.equal(await client, undefined);
});

test('an agent that was killed is not back as long as it only takes connections', async () => {
  const socket = `${directory}/back.sock`;
  let connections = 0;
  const server = createServer((connection) => {
    connections++;
    if (connections < 3) connection.destroy();
    else connection.on('data', () => connection.end('{}\n')).on('error', () => undefined);
  }).listen(socket);
  await once(server, 'listening');
  assert.equal(await new Client({ socket }).isBack(), true);
  assert.equal(connections, 3);
  server.close();
});

test('who waits for an agent can stop waiting', { timeout: 5000 }, async () => {
  const stop = new AbortController();
  const isBack = new Client({ socket: `${directory}/none.sock` }).isBack(stop.signal);
  stop.abort();
  assert.equal(await isBack, false);
});
