/** What the names in the service manager's fd store say, and that any listener comes back from its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFdName } from '../sys/notify.js';
import { listenerOf, nameOf } from './fd-store.js';

const listener = { token: 7, fd: 5, namespace: 12 };

for (const container of ['', '4ab1c9', 'web_1.app-2+x', 'a'.repeat(200)]) {
  test(`a listener comes back by its name, that of container '${container.slice(0, 20)}' too`, () => {
    const whole = { ...listener, container };
    assert.ok(isFdName(nameOf(whole)));
    assert.deepEqual(listenerOf(nameOf(whole), 5), whole);
  });
}

for (const container of ['a:b', 'a b', 'a\nFDSTOREREMOVE=1', 'ä', 'a'.repeat(256)]) {
  test(`a container's id that no name can hold is left out: ${JSON.stringify(container.slice(0, 20))}`, () => {
    const whole = { ...listener, container };
    assert.ok(isFdName(nameOf(whole)));
    assert.deepEqual(listenerOf(nameOf(whole), 5), { ...whole, container: '' });
  });
}

for (const name of ['', 'journal', 'stored', 'listener_1_2', 'listener_x_2_']) {
  test(`'${name}' is no listener`, () => assert.equal(listenerOf(name, 5), undefined));
}
