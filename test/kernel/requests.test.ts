/** Requests at the control sockets, whatever they say: each is answered, and none ends the agent or leaves anything in it. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { shapes } from '../../src/control/lines.js';
import { isReading, PROTOCOL_VERSION, type Request } from '../../src/control/protocol.js';
import { kinds } from '../../src/model/ids.js';
import { keepsOneAgent } from '../support/agent.js';
import { bpfns, leavesNothingBehind, runDir, skipReason, until } from '../support/host.js';
import { limit, times } from '../support/slowness.js';

const FULL = 'agent.sock';
const READ_ONLY = 'control-ro.sock';
const RUNS = times(100);

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom(
    '',
    '..',
    'a',
    'a/b',
    '0',
    '1',
    'init',
    'self',
    'pid:0',
    'pid:1',
    'pid:4294967295',
    `pid:${process.pid}`,
  ),
);
const count = fc.oneof(fc.nat(9), fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(process.pid, 0xffffffff));
/** A value of each type that fields have (src/control/lines.ts). */
const values = {
  text,
  count,
  fd: fc.oneof(fc.nat(40), fc.constant(0x7fffffff)),
  tracing: fc.constantFrom('host', 'own', 'filtered', 'none', 'parent', undefined),
  pins: fc.constantFrom('own', 'any'),
  boolean: fc.boolean(),
  kind: fc.constantFrom(...kinds),
};

type Line = Pick<Request, 'op'> & Record<string, unknown>;

/** A request with all of its fields, of the right types. */
const valid: fc.Arbitrary<Line> = fc
  .constantFrom(...(Object.keys(shapes) as Request['op'][]))
  .chain((op) =>
    fc
      .record(Object.fromEntries(Object.entries(shapes[op]).map(([field, type]) => [field, values[type]])))
      .map((fields) => ({ version: PROTOCOL_VERSION, op, ...fields })),
  );

/** One in which a field is missing, is one too many, or has another type. */
const invalid = fc
  .tuple(
    valid,
    fc.constantFrom('op', 'version', 'name', 'namespace', 'kind', 'pid', 'listener', 'constructor'),
    fc.jsonValue(),
  )
  .map(([request, field, value]) => ({ ...request, [field]: value }));

/** What the agent says to a request, or 'closed' if it hangs up. */
function answerTo(socketName: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${runDir}/${socketName}`, () => socket.write(`${line}\n`));
    let answer = '';
    socket.setTimeout(limit(60_000), () => reject(new Error(`no answer to ${line}`)));
    socket.on('data', (data) => {
      answer += String(data);
      if (answer.includes('\n')) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer || 'closed'));
  });
}

function remove(namespace: number): Promise<string> {
  const request = { version: PROTOCOL_VERSION, op: 'remove', namespace: String(namespace) };
  return answerTo(FULL, JSON.stringify(request));
}

const namespaces = (): number[] =>
  JSON.parse(bpfns(['ls', '--json']).stdout).namespaces.map(({ id }: { id: number }) => id);

describe('requests', { skip: skipReason }, () => {
  leavesNothingBehind();

  describe('to one agent', () => {
    const agent = keepsOneAgent();

    /** Sends requests, and looks whether the agent is as it was. */
    async function send(request: fc.Arbitrary<Line>, check: (line: Line) => Promise<void>): Promise<void> {
      const seed = Math.trunc(Math.random() * 2 ** 31);
      const all = async (): Promise<void> => {
        // Only the one that keeps the agent. The thread that answers this has then closed what it needed.
        await until(() => namespaces().length === 2, 'a namespace of an earlier test has not ended');
        const before = namespaces();
        await fc.assert(fc.asyncProperty(request, check), { numRuns: RUNS, seed });
        // Those below first.
        for (const id of namespaces().reverse()) if (!before.includes(id)) await remove(id);
        assert.deepEqual(namespaces(), before);
      };
      const pid = agent.pid();
      // What is opened once, for the first request that needs it, stays open.
      await all();
      const fds = await agent.fds();
      await all();
      assert.equal(agent.pid(), pid);
      assert.equal(agent.log(), '');
      await until(async () => (await agent.fds()) <= fds, `the agent has left descriptors open (seed ${seed})`);
    }

    test('that are as they should be are understood, whatever they ask for', async () => {
      await send(valid, async (request) => {
        const line = JSON.stringify(request);
        const answer = await answerTo(FULL, line);
        assert.match(answer, /^\{.*\}\n/);
        assert.doesNotMatch(answer, /bad request/, line);
      });
    });

    test('with something wrong in them are answered, too', async () => {
      await send(invalid, async (request) => {
        assert.match(await answerTo(FULL, JSON.stringify(request)), /^\{.*\}\n/);
      });
    });

    test('that would change something are refused on the read-only socket', async () => {
      await send(valid, async (request) => {
        const { error } = JSON.parse((await answerTo(READ_ONLY, JSON.stringify(request))).split('\n')[0] ?? '');
        if (!isReading(request as Request)) assert.equal(error?.code, 'EACCES', JSON.stringify(request));
      });
    });

    test('that come by the thousand in one packet keep nobody waiting', async () => {
      const many = 20_000;
      const socket = connect(`${runDir}/${READ_ONLY}`);
      let answered = 0;
      socket.on('data', (data) => {
        answered += data.toString('latin1').split('\n').length - 1;
      });
      socket.write('\n'.repeat(many));
      await until(() => answered > 0, 'no request is answered');
      assert.match(await answerTo(FULL, '{}'), /bad request/);
      const before = answered;
      await until(() => answered === many, 'not all requests are answered', 60);
      socket.destroy();
      assert.ok(before < many / 2, `${before} were answered before another one`);
    });

    test('that nobody waits for leave nothing behind', async () => {
      await send(valid, async (request) => {
        const socket = connect(`${runDir}/${READ_ONLY}`);
        socket.on('error', () => undefined);
        await new Promise<void>((resolve) => socket.write(`${JSON.stringify(request)}\n`, () => resolve()));
        socket.destroy();
      });
    });
  });
});
