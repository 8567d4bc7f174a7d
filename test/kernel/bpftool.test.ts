/** An unprivileged bpftool under `bpfns run`: the README's first promise. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  asContainerUser,
  bpfns,
  guestPath,
  inNamespace,
  leavesNothingBehind,
  listed,
  type Outcome,
  pinDirectory,
  run,
  skipReason,
  startInNamespace,
} from '../support/host.js';

/**
 * In a namespace with a program (id 1), attached by a link (1), its maps (1, 2) and its BTF, all
 * loaded by another process.
 */
function withObjects(script: string): Outcome {
  return inNamespace(`exec ${guestPath('objects')} sh -ec '${script}'`);
}

/** The same objects as root, without bpfns. */
function natively(script: string): Outcome {
  return run([guestPath('objects'), 'sh', '-ec', script]);
}

const int7 = '7 0 0 0';
const btfOfMap = 'bpftool -j map show id 1 | sed "s/.*btf_id.:\\([0-9]*\\).*/\\1/"';

/** Every promised command, and what its output must contain. */
const commands: ReadonlyArray<readonly [script: string, shows: RegExp]> = [
  ['bpftool map list', /^1: hash {2}name first .*\n2: array {2}name second /s],
  ['bpftool prog list', /^1: raw_tracepoint {2}name count .*map_ids 1,2\n/s],
  ['bpftool link list', /^1: raw_tracepoint {2}prog 1 .*tp 'sched_process_exit'/s],
  ['bpftool btf list', /name \[vmlinux\].*\n\d+: name <anon> {2}size 83B {2}prog_ids 1 {2}map_ids 1\n/s],
  ['bpftool map show id 2', /^2: array {2}name second /],
  ['bpftool prog show id 1', /^1: raw_tracepoint {2}name count /],
  // bpftool 7.5 prints it and exits with 255, natively too.
  ['bpftool link show id 1 || true', /^1: raw_tracepoint {2}prog 1 /],
  [`bpftool btf show id $(${btfOfMap})`, /name <anon> {2}size 83B {2}prog_ids 1 {2}map_ids 1/],
  ['bpftool map dump id 1', /"key": 7,\s+"value": 42/],
  [`bpftool map lookup id 1 key ${int7}`, /"key": 7,\s+"value": 42/],
  [`bpftool map update id 1 key ${int7} value 5 0 0 0; bpftool map dump id 1`, /"key": 7,\s+"value": 5/],
  [`bpftool btf dump id $(${btfOfMap})`, /INT 'int' size=4 .*FUNC 'count' type_id=2/s],
  ['bpftool prog pin id 1 $P/p; bpftool prog show pinned $P/p; rm $P/p', /^1: raw_tracepoint {2}name count /],
  ['bpftool map pin id 2 $P/m; bpftool map show pinned $P/m; rm $P/m', /^2: array {2}name second /],
];

/** What the JSON listings must contain, by command. */
const json: ReadonlyArray<readonly [command: string, fields: readonly string[], values: readonly unknown[][]]> = [
  [
    'map list',
    ['id', 'type', 'name'],
    [
      [1, 'hash', 'first'],
      [2, 'array', 'second'],
    ],
  ],
  ['prog list', ['id', 'type', 'name', 'map_ids'], [[1, 'raw_tracepoint', 'count', [1, 2]]]],
  ['link list', ['id', 'type', 'prog_id', 'tp_name'], [[1, 'raw_tracepoint', 1, 'sched_process_exit']]],
];

describe('bpftool as a container user', { skip: skipReason }, () => {
  leavesNothingBehind();

  for (const command of [
    'map list',
    'prog list',
    'link list',
    'btf list',
    'map show id 1',
    'prog show id 1',
    'link show id 1',
    'map dump id 1',
    `map lookup id 1 key ${int7}`,
    `map update id 1 key ${int7} value 5 0 0 0`,
    'prog dump xlated id 1',
    'btf dump id 1',
    `prog pin id 1 ${pinDirectory()}/p`,
    `map pin id 1 ${pinDirectory()}/m`,
  ]) {
    test(`natively '${command.replace(/\/.*/, 'PATH')}' fails with EPERM`, () => {
      const { status, stderr } = run([...asContainerUser, 'bpftool', ...command.split(' ')]);
      assert.notEqual(status, 0);
      assert.match(stderr, /Operation not permitted/);
    });
  }

  for (const [script, shows] of commands) {
    test(`'${script}' works and shows the namespace's ids`, () => {
      const { status, stdout, stderr } = withObjects(script);
      assert.equal(stderr, '');
      assert.equal(status, 0);
      assert.match(stdout, shows);
    });
  }

  for (const [command, fields, values] of json) {
    test(`'${command}' as JSON`, () => {
      const { stdout } = withObjects(`bpftool -j ${command}`);
      const objects: Array<Record<string, unknown>> = JSON.parse(stdout);
      assert.deepEqual(
        objects.map((object) => fields.map((field) => object[field])),
        values,
      );
    });
  }

  test("map references in translated instructions are the namespace's", async () => {
    const guest = await startInNamespace(
      `exec ${guestPath('objects')} sh -ec 'bpftool prog dump xlated id 1; echo ready; read -r _ || true'`,
      ['--name', 'xlated'],
    );
    const hostIds = listed('map', 'xlated').map(({ hostId }) => hostId);
    await guest.end();
    // If the host had the same ids, this test would prove nothing.
    assert.ok(hostIds.length === 2 && !hostIds.includes(1) && !hostIds.includes(2));
    assert.match(guest.output(), /r1 = map\[id:1\]\n.*r1 = map\[id:2\]\n/s);
  });

  test('opcodes of translated instructions name the same maps', () => {
    const { stdout } = withObjects('bpftool prog dump xlated id 1 opcodes');
    assert.match(stdout, /18 11 00 00 01 00 00 00 .*18 11 00 00 02 00 00 00 /s);
  });

  test("'prog dump jited' prints what a native bpftool prints to root", () => {
    // A bpftool without a disassembler says so, in both places.
    const inside = withObjects('bpftool prog dump jited id 1');
    const native = natively('bpftool prog dump jited name count');
    assert.deepEqual(withoutAddresses(inside), withoutAddresses(native));
  });

  test('machine code is shown as the kernel shows it to this caller', () => {
    for (const user of [[], asContainerUser]) {
      const native = run([...user, guestPath('jited'), 'own']);
      const inside = bpfns(['run', '--', ...user, guestPath('jited'), 'id']);
      assert.match(native.stdout, /^length \d+, /);
      assert.deepEqual(inside, native);
    }
  });
});

/** Two loads of one program differ only in addresses. */
function withoutAddresses({ status, stdout, stderr }: Outcome): Outcome {
  return { status, stdout: stdout.replace(/\b(0x)?[0-9a-f]{8,16}\b/g, 'ADDRESS'), stderr };
}
