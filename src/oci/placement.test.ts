import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { labelsOf, placementOf } from './placement.js';
import { type ContainerState, OciError, parseContainerState } from './state.js';

const state = (change: Partial<ContainerState>): ContainerState => ({
  id: 'c1',
  pid: 7,
  listenerIndex: 0,
  metadata: '',
  annotations: {},
  ...change,
});

describe('the namespace of a container', () => {
  const pod = { 'io.kubernetes.cri.sandbox-id': 'sandbox' };
  for (const [what, change, expected] of [
    ['is named by its id', {}, { name: 'c1', parent: 'init', pins: 'own', tracing: undefined, delegation: undefined }],
    [
      'is chosen by the metadata',
      { metadata: 'name=a, parent=b,pins=any' },
      { name: 'a', parent: 'b', pins: 'any', tracing: undefined, delegation: undefined },
    ],
    [
      "is the pod's, if asked",
      { annotations: { ...pod, 'bpfns.io/share': 'pod' } },
      { name: 'sandbox', parent: 'init', pins: 'own', tracing: undefined, delegation: undefined },
    ],
    [
      'is its own, if it shares but is in no pod',
      { metadata: 'share=pod' },
      { name: 'c1', parent: 'init', pins: 'own', tracing: undefined, delegation: undefined },
    ],
    [
      'is not chosen by annotations alone',
      { annotations: { 'bpfns.io/name': 'other', 'bpfns.io/pins': 'any', 'bpfns.io/parent': 'x' } },
      { name: 'c1', parent: 'init', pins: 'own', tracing: undefined, delegation: undefined },
    ],
    [
      'is chosen by annotations that the metadata allows',
      { metadata: 'annotations=allow', annotations: { 'bpfns.io/name': 'other', 'bpfns.io/pins': 'any' } },
      { name: 'other', parent: 'init', pins: 'any', tracing: undefined, delegation: undefined },
    ],
    [
      'has a token by the metadata, in the words of the mount options',
      { metadata: 'delegate_cmds=map_create:prog_load,delegate_maps=any' },
      {
        name: 'c1',
        parent: 'init',
        pins: 'own',
        tracing: undefined,
        delegation: { cmds: 'map_create:prog_load', maps: 'any' },
      },
    ],
    [
      'has no token by annotations, whatever the metadata allows',
      { metadata: 'annotations=allow', annotations: { 'bpfns.io/delegate_cmds': 'any' } },
      { name: 'c1', parent: 'init', pins: 'own', tracing: undefined, delegation: undefined },
    ],
  ] as const) {
    test(what, () => assert.deepEqual(placementOf(state(change)), expected));
  }

  for (const [what, change] of [
    ['an unknown setting', { metadata: 'nmae=x' }],
    ['a setting without a value', { metadata: 'name' }],
    ['a token of a number', { metadata: 'delegate_cmds=0x1' }],
    ['a token of nothing', { metadata: 'delegate_cmds=' }],
    ['pins of another kind', { metadata: 'pins=all' }],
    ['an id that reads as init', { id: 'init' }],
    ['an id with a slash', { id: 'a/b' }],
    ['an id of 128 characters', { id: 'x'.repeat(128) }],
  ] as const) {
    test(`is refused for ${what}`, () => assert.throws(() => placementOf(state(change)), OciError));
  }
});

test('a container is known by the names that its engine puts into annotations', () => {
  const annotations = {
    'io.kubernetes.cri.sandbox-name': 'web-0',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
    'io.kubernetes.cri.container-name': 'app',
  };
  assert.deepEqual(labelsOf(state({ annotations })), {
    id: 'c1',
    pod: 'web-0',
    podNamespace: 'shop',
    container: 'app',
  });
});

test('a name that no engine would give is cut off', () => {
  const { pod } = labelsOf(state({ annotations: { 'io.kubernetes.cri.sandbox-name': 'x'.repeat(100_000) } }));
  assert.equal(pod?.length, 253);
});

describe('a container process state', () => {
  const message = { fds: ['seccompFd'], pid: 7, state: { id: 'c1', annotations: { a: 'b', n: 1 } } };
  test("is taken from a runtime's message, unknown fields and a missing state.pid included", () => {
    const parsed = parseContainerState(JSON.stringify({ ...message, more: 1 }));
    assert.deepEqual(parsed, { id: 'c1', pid: 7, listenerIndex: 0, metadata: '', annotations: { a: 'b' } });
  });
  test('is incomplete until its JSON ends', () => {
    const text = JSON.stringify(message);
    for (let length = 1; length < text.length; length++)
      assert.equal(parseContainerState(text.slice(0, length)), undefined);
  });
  for (const [what, bad] of [
    ['no object', 7],
    ['no state', { ...message, state: null }],
    ['no id', { ...message, state: {} }],
    ['no listener', { ...message, fds: ['other'] }],
  ] as const) {
    test(`with ${what} is refused`, () => {
      assert.throws(() => parseContainerState(JSON.stringify(bad)), OciError);
    });
  }
});
