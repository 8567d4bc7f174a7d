/** What is said of each engine and version. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { detectEngines } from './engines.js';

/** The programs' own words, as Debian, Fedora and the projects' releases print them. */
const cases: ReadonlyArray<[program: string, prints: string, version: string, canServe: boolean]> = [
  ['runc', 'runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\n', '1.1.5+ds1', true],
  ['runc', 'runc version 1.1.0\nspec: 1.0.2-dev\n', '1.1.0', true],
  ['runc', 'runc version 1.0.0~rc93+ds1\nspec: 1.0.2-dev\n', '1.0.0~rc93+ds1', false],
  ['crun', 'crun version 1.8.1\ncommit: f8a096be\n', '1.8.1', true],
  ['crun', 'crun version 0.17\n', '0.17', false],
  ['podman', 'podman version 4.3.1\n', '4.3.1', true],
  ['podman', 'podman version 4.0.3\n', '4.0.3', false],
  ['podman', 'podman version 5.8.2\n', '5.8.2', true],
  ['containerd', 'containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n', '1.6.20~ds1', true],
  ['containerd', 'containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b71\n', '2.1.4', true],
  ['containerd', 'containerd github.com/containerd/containerd v1.5.9 1407cab5\n', '1.5.9', false],
  ['dockerd', 'Docker version 20.10.24+dfsg1, build 5d6db84\n', '20.10.24+dfsg1', false],
  ['dockerd', 'Docker version 23.0.1, build bc3805a\n', '23.0.1', true],
  ['dockerd', 'Docker version 26.1.5+dfsg1, build a72d7cd\n', '26.1.5+dfsg1', true],
  ['dockerd', 'Docker version 28.5.2+dfsg3, build 89c5e8f\n', '28.5.2+dfsg3', true],
  ['crio', 'crio version 1.24.1\nVersion:          1.24.1\n', '1.24.1', false],
  ['crio', 'crio version 1.36.3\nVersion:          1.36.3\n', '1.36.3', true],
];

describe('an engine', () => {
  for (const [program, prints, version, canServe] of cases) {
    test(`${program} ${version} ${canServe ? 'can' : 'cannot'} hand containers over`, () => {
      const [report, ...others] = detectEngines((wanted) => (wanted === program ? prints : undefined));
      assert.deepEqual(others, []);
      assert.equal(report?.version, version);
      assert.equal(report?.canServe, canServe);
      assert.ok((report?.advice.length ?? 0) > 0);
    });
  }

  test('that is not installed is not reported', () => {
    assert.deepEqual(
      detectEngines(() => undefined),
      [],
    );
  });

  for (const [version, isMissing] of [
    ['26.1.5', true],
    ['28.5.2', false],
  ] as const) {
    test(`docker ${version} ${isMissing ? 'gives' : 'does not leave'} privileged containers ${isMissing ? 'no' : 'without a'} namespace`, () => {
      const text = `Docker version ${version}, build 0\n`;
      const [report] = detectEngines((wanted) => (wanted === 'dockerd' ? text : undefined));
      assert.equal(/--privileged .* no namespace/.test(report?.advice.join() ?? ''), isMissing);
    });
  }

  test('that prints no version is taken for too old', () => {
    const [report] = detectEngines((program) => (program === 'runc' ? 'development build' : undefined));
    assert.deepEqual([report?.version, report?.canServe], ['unknown', false]);
  });
});
