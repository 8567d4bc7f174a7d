import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatRequest, ProtocolError, parseRequest } from './lines.js';
import { PROTOCOL_VERSION, type Request } from './protocol.js';

const good = {
  op: 'run',
  version: PROTOCOL_VERSION,
  parent: 'init',
  name: 'web',
  pins: 'own',
  tracing: 'own',
  listener: 5,
};

describe('parsing a request', () => {
  const requests: readonly Request[] = [
    { op: 'run', parent: 'self', name: '', pins: 'any', tracing: 'parent', listener: 0 },
    { op: 'join', namespace: 'web/build', listener: 7 },
    { op: 'create', parent: 'init', name: 'web', pins: 'own', tracing: 'host', ownerUid: 1000, maxNamespaces: 4 },
    { op: 'remove', namespace: '3' },
    { op: 'status' },
  ];
  for (const request of requests) {
    test(`reads '${request.op}' as it was written`, () => {
      const line = formatRequest(request);
      assert.equal(line.indexOf('\n'), line.length - 1);
      assert.deepEqual(parseRequest(line), { ...request, version: PROTOCOL_VERSION });
    });
  }

  const refused: ReadonlyArray<readonly [string, unknown, RegExp]> = [
    ['an array', [], /version/],
    ['null', null, /not an object/],
    ['a string', 'run', /not an object/],
    ['another version', { ...good, version: 0 }, /protocol version 0/],
    ['no version', { op: 'status' }, /protocol version undefined/],
    ['an op that every object has', { ...good, op: 'toString' }, /unknown op/],
    ['a missing field', { ...good, parent: undefined }, /parent/],
    [
      'a uid that is too large',
      { op: 'create', version: 1, parent: '', name: '', pins: 'own', ownerUid: 2 ** 32 },
      /ownerUid/,
    ],
    ['an unknown op', { ...good, op: 'halt' }, /unknown op 'halt'/],
    ['a version that cannot be shown', { ...good, version: { toString: 1 } }, /protocol version object/],
    ['an op that cannot be shown', { ...good, op: { toString: 1 } }, /unknown op 'object'/],
    ['a name that is no string', { ...good, name: 7 }, /name/],
    ['unknown pins', { ...good, pins: 'all' }, /pins/],
    ['a negative fd', { ...good, listener: -1 }, /listener/],
    ['half a fd', { ...good, listener: 1.5 }, /listener/],
    ['a fd beyond int', { ...good, listener: 2 ** 31 }, /listener/],
  ];
  for (const [what, request, reason] of refused) {
    test(`refuses ${what}, saying why`, () => {
      assert.throws(() => parseRequest(JSON.stringify(request)), reason);
    });
  }

  test('refuses every other line in the same way', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.record({ op: fc.jsonValue(), version: fc.jsonValue(), name: fc.jsonValue() }).map((v) => JSON.stringify(v)),
      fc.nat(30000).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
      fc.nat(9000).map((depth) => `{"version":1,"op":${'['.repeat(depth)}${']'.repeat(depth)}}`),
    );
    fc.assert(fc.property(line, (text) => assert.throws(() => parseRequest(text), ProtocolError)));
  });
});
