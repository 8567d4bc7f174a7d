import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatEvent } from './events.js';

test('an event for people is its time, its name and what is known of it', () => {
  const container = { container: 'c1', namespace: 7, path: 'c1', pod: 'web-0', podNamespace: null, name: null };
  const line = formatEvent({ event: 'container-left', time: '2026-01-02T03:04:05.678Z', ...container });
  assert.equal(line, '2026-01-02T03:04:05.678Z container-left container=c1 namespace=7 path=c1 pod=web-0');
});
