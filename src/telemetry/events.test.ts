import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { Events } from './events.js';

const path = `/tmp/bpfns-events-test-${process.pid}.sock`;
const gone = { event: 'namespace-gone', namespace: 7, path: 'web', level: 1, tracing: 'host', note: null } as const;

/** A subscriber's two ends. */
async function subscriber(events: Events): Promise<{ near: Socket; far: Socket; close: () => void }> {
  rmSync(path, { force: true });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const far = connect(path);
  const near = await new Promise<Socket>((resolve) => server.once('connection', resolve));
  events.subscribe(near);
  const close = (): void => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
  };
  return { near, far, close };
}

function linesOf(socket: Socket): string[] {
  const lines: string[] = [];
  let rest = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    const parts = (rest + part).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return lines;
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !condition(); ) {
    assert.ok(Date.now() < end, 'not within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a subscriber', () => {
  let end = (): void => undefined;
  afterEach(() => end());

  test('is told, with the time', async () => {
    const events = new Events();
    const { far, close } = await subscriber(events);
    end = close;
    const lines = linesOf(far);
    events.emit(gone);
    await until(() => lines.length > 0);
    const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.ok(!Number.isNaN(Date.parse(String(time))));
    assert.deepEqual(rest, gone);
  });

  test('that does not read makes the agent keep no more than 256 KiB, and is told later what it missed', async () => {
    const events = new Events();
    const { near, far, close } = await subscriber(events);
    end = close;
    const sent = 20_000;
    for (let i = 0; i < sent; i++) events.emit(gone);
    assert.ok(near.writableLength <= 256 * 1024);
    const lines = linesOf(far);
    await until(() => lines.some((line) => line.includes('"dropped"')));
    const { count } = JSON.parse(lines.at(-1) ?? '') as { count: number };
    assert.equal(lines.length - 1 + count, sent);
  });
});
