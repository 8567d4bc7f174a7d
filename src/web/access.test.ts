import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allowedHosts, cookieOf, hasCookie, isLoopback, isToken, parseListen, refusal } from './access.js';

describe('where the page is served', () => {
  test('is an address and a port', () => {
    assert.deepEqual(parseListen('127.0.0.1:9655'), { address: '127.0.0.1', port: 9655 });
    assert.deepEqual(parseListen('[::1]:80'), { address: '::1', port: 80 });
    for (const text of ['localhost:9655', '127.0.0.1', '127.0.0.1:70000', '1.2.3:80', ':80', '[::1]'])
      assert.equal(parseListen(text), undefined, text);
  });

  test('is on the loopback or beyond', () => {
    assert.ok(isLoopback({ address: '127.0.0.2', port: 1 }) && isLoopback({ address: '::1', port: 1 }));
    assert.ok(!isLoopback({ address: '0.0.0.0', port: 1 }) && !isLoopback({ address: '::', port: 1 }));
  });
});

describe('a request', () => {
  const hosts = allowedHosts({ address: '127.0.0.1', port: 9655 }, ['bpf.example']);
  const own = { host: '127.0.0.1:9655' };

  test('by an own name is served', () => {
    for (const host of ['127.0.0.1:9655', 'localhost:9655', 'LOCALHOST:9655', 'bpf.example', 'bpf.example:9655']) {
      assert.equal(refusal({ host }, hosts), undefined, host);
    }
    assert.equal(
      refusal({ ...own, origin: 'http://127.0.0.1:9655', 'sec-fetch-site': 'same-origin' }, hosts),
      undefined,
    );
  });

  const refused: ReadonlyArray<readonly [string, Parameters<typeof refusal>[0]]> = [
    ['by a name that was pointed here', { host: 'evil.example:9655' }],
    ['by another port', { host: '127.0.0.1:80' }],
    ['without a name', {}],
    ['from another site', { ...own, origin: 'http://evil.example' }],
    ['from another port of this machine', { ...own, origin: 'http://127.0.0.1:8080' }],
    ['from a page without an origin', { ...own, origin: 'null' }],
    ['that the browser says another site makes', { ...own, 'sec-fetch-site': 'cross-site' }],
    ['that the browser says a neighbour makes', { ...own, 'sec-fetch-site': 'same-site' }],
  ];
  for (const [what, headers] of refused) {
    test(`${what} is refused`, () => assert.notEqual(refusal(headers, hosts), undefined));
  }
});

describe('a token', () => {
  const token = 'correct horse battery staple';

  test('is right only as a whole', () => {
    assert.ok(isToken(token, token));
    for (const wrong of ['', token.slice(1), `${token} `]) assert.ok(!isToken(wrong, token));
  });

  test('is remembered by a cookie that does not contain it', () => {
    const cookie = cookieOf(token);
    assert.ok(!cookie.includes(token));
    assert.match(cookie, /HttpOnly; SameSite=Strict/);
    const [pair = ''] = cookie.split(';');
    assert.ok(hasCookie({ cookie: `x=1; ${pair}` }, token));
    assert.ok(!hasCookie({ cookie: pair }, 'another') && !hasCookie({}, token));
  });
});
