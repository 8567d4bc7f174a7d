import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { defaultConfig } from './config.js';
import { ConfigError, loadConfig, parseConfig } from './load.js';

const example = new URL('../../../../packaging/bpfns.toml', import.meta.url).pathname;

describe('a configuration file', () => {
  test('may be empty: the defaults hold', () => {
    assert.deepEqual(parseConfig('', 'x.toml'), defaultConfig);
    assert.deepEqual(defaultConfig, {
      limits: {},
      log: { level: 'info', format: 'text' },
      metrics: { namespaces: 200, programs: 0 },
      statistics: { runtime: 'on-demand' },
      tracing: { tracefs: false },
      control: {},
      users: [],
    });
  });

  test('sets every key', () => {
    const text = `
      [limits]
      namespaces-per-user = 12
      objects = 100
      numbers = 300
      namespaces = 7
      program-memory = 5
      [log]
      level = "debug"
      format = "json"
      [metrics]
      listen = "unix:/run/bpfns/metrics.sock"
      namespaces = 3
      programs = 4
      [statistics]
      runtime = "always"
      [tracing]
      tracefs = true
      [control]
      read-only-group = "adm"
      [[users]]
      uid = 1000
      namespaces = 3
      delegate = { cmds = "map_create:prog_load", maps = "any" }
      [[users]]
      uid = 1001`;
    assert.deepEqual(parseConfig(text, 'x.toml'), {
      limits: { 'namespaces-per-user': 12, objects: 100, numbers: 300, namespaces: 7, 'program-memory': 5 },
      log: { level: 'debug', format: 'json' },
      metrics: { listen: 'unix:/run/bpfns/metrics.sock', namespaces: 3, programs: 4 },
      statistics: { runtime: 'always' },
      tracing: { tracefs: true },
      control: { 'read-only-group': 'adm' },
      users: [
        { uid: 1000, namespaces: 3, delegate: { cmds: 'map_create:prog_load', maps: 'any' } },
        { uid: 1001, namespaces: 32 },
      ],
    });
  });

  test('the annotated example holds the defaults, and is valid with every line in use', () => {
    assert.deepEqual(loadConfig(example), defaultConfig);
    const all = readFileSync(example, 'utf8').replace(/^#(?=[a-z-]+ = |\[\[)/gm, '');
    assert.deepEqual(parseConfig(all, 'x.toml').metrics, {
      ...defaultConfig.metrics,
      listen: '127.0.0.1:9435',
    });
  });

  const mistakes: ReadonlyArray<readonly [what: string, text: string, message: string]> = [
    ['an unknown key', '[log]\nlevle = "info"', 'x.toml:2: log.levle: there is no such key'],
    ['an unknown table', '\n\n[logs]\nlevel = "info"', 'x.toml:3: logs: there is no such key'],
    [
      'a value of none of the names',
      '[log]\nlevel = "loud"',
      'x.toml:2: log.level: expected one of error, warning, info, debug',
    ],
    ['a value of another type', 'log = 1', 'x.toml:1: log: expected a table'],
    [
      'a number too small',
      '[limits]\nnamespaces-per-user = 0',
      'x.toml:2: limits.namespaces-per-user: expected a number above 0',
    ],
    ['a fraction', 'limits.namespaces-per-user = 1.5', 'x.toml:1: limits.namespaces-per-user: expected a whole number'],
    [
      'an address without port',
      '[metrics]\nlisten = "localhost"',
      'x.toml:2: metrics.listen: expected ADDRESS:PORT or unix:/PATH',
    ],
    ['root as a user', '[[users]]\nuid = 0', 'x.toml:1: users.0.uid: expected a number above 0'],
    ['a user twice', '[[users]]\nuid = 1\n[[users]]\nuid = 1', 'x.toml:1: users: expected each uid once'],
    [
      'a mask in place of names',
      '[[users]]\nuid = 1\ndelegate = { cmds = "0x1" }',
      "x.toml:1: users.0.delegate.cmds: expected 'any', or names separated by colons",
    ],
    [
      'two mistakes',
      '[log]\nlevel = 1\nx = 2',
      'x.toml:2: log.level: expected one of error, warning, info, debug\nx.toml:3: log.x: there is no such key',
    ],
  ];
  for (const [what, text, message] of mistakes) {
    test(`${what}: file, line, key, and what was expected`, () => {
      assert.throws(() => parseConfig(text, 'x.toml'), new ConfigError(message));
    });
  }

  test('what is no TOML: file, line and column', () => {
    assert.throws(() => parseConfig('[log]\nlevel = ', 'x.toml'), /^ConfigError: x\.toml:2:\d+: /);
  });

  test('a file that is not there: its name and why', () => {
    assert.throws(() => loadConfig('/nonexistent.toml'), /ENOENT.*'\/nonexistent\.toml'/);
  });
});
