/** The tests of cilium/ebpf, from Debian's package of that library: in a namespace they have the results that they have natively. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { before, describe, test } from 'node:test';
import { bpfnsPath, leavesNothingBehind, root, run, skipReason } from '../support/host.js';
import { limit } from '../support/slowness.js';

const source = '/usr/share/gocode/src/github.com/cilium/ebpf';
const scratch = mkdtempSync(`${tmpdir()}/bpfns-cilium-`);
const binary = `${scratch}/ebpf.test`;
/** It needs the files beside its source. */
const inSource = (command: string): string[] => ['sh', '-ec', `cd ${source}; exec ${command}`];
const timeoutSeconds = limit(300);

/** Lines such as "PASS TestMapInMap/Hash". */
function results(prefix: readonly string[]): string[] {
  const { stdout } = run([...prefix, ...inSource(`${binary} -test.v`)], { timeoutSeconds });
  return [...stdout.matchAll(/^ *--- (\w+): (\S+)/gm)].map(([, result, name]) => `${result} ${name}`).sort();
}

describe('the tests of cilium/ebpf', { skip: skipReason }, () => {
  leavesNothingBehind(() => rmSync(scratch, { recursive: true }));
  let inside: readonly string[];

  before(() => {
    const env = { GOPATH: '/usr/share/gocode', GO111MODULE: 'off', GOCACHE: `${root}build/go` };
    const built = run(inSource(`go test -vet=off -c -o ${binary} .`), { env, timeoutSeconds });
    assert.equal(built.status, 0, built.stderr);
    inside = results([bpfnsPath, 'run', '--']);
  });

  for (const name of ['TestMapInMap', 'TestIterateMapInMap', 'TestProgramMarshaling']) {
    test(`${name}, which opens ids that it has read from a map, passes in a namespace`, () => {
      assert.ok(inside.includes(`PASS ${name}`));
    });
  }

  test('all others have the result that they have natively', () => {
    assert.deepEqual(inside, results([]));
  });
});
