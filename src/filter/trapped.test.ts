/**
 * Every command of bpf(2), and every id that its attributes take, of Linux 7.3: who answers it, and why. What a later
 * kernel adds is missing here; test/kernel/layouts.test.ts fails there and says what it is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bpf_attr, bpf_cmd } from '../sys/kernel.gen.js';
import { OWN_NAMESPACE } from './own-command.js';
import { nativeFor, trappedCommands } from './trapped.js';

type Name = Exclude<keyof typeof bpf_cmd, 'BPF_COMMON_ATTRS' | 'BPF_PROG_RUN'>;

const ID = 'takes or gives an id';
/** They act on what the caller holds, with the caller's rights. */
const HELD = 'acts on fds that the caller holds';
const CREATES = "creates an object, which must be the caller's own; the recorder sees it";

const who: Readonly<Record<Name, readonly ['agent' | 'kernel', why: string]>> = {
  BPF_MAP_CREATE: ['kernel', CREATES],
  BPF_MAP_LOOKUP_ELEM: ['kernel', HELD],
  BPF_MAP_UPDATE_ELEM: ['kernel', HELD],
  BPF_MAP_DELETE_ELEM: ['kernel', HELD],
  BPF_MAP_GET_NEXT_KEY: ['kernel', HELD],
  BPF_PROG_LOAD: ['kernel', CREATES],
  BPF_OBJ_PIN: ['kernel', HELD],
  BPF_OBJ_GET: ['agent', 'opens a pin, which may be of another namespace'],
  BPF_PROG_ATTACH: ['agent', `${ID} (BPF_F_ID)`],
  BPF_PROG_DETACH: ['agent', `${ID} (BPF_F_ID)`],
  BPF_PROG_TEST_RUN: ['kernel', `${HELD}; what a program of type SYSCALL creates, the recorder sees`],
  BPF_PROG_GET_NEXT_ID: ['agent', ID],
  BPF_MAP_GET_NEXT_ID: ['agent', ID],
  BPF_PROG_GET_FD_BY_ID: ['agent', ID],
  BPF_MAP_GET_FD_BY_ID: ['agent', ID],
  BPF_OBJ_GET_INFO_BY_FD: ['agent', ID],
  BPF_PROG_QUERY: ['agent', ID],
  BPF_RAW_TRACEPOINT_OPEN: ['kernel', CREATES],
  BPF_BTF_LOAD: ['kernel', CREATES],
  BPF_BTF_GET_FD_BY_ID: ['agent', ID],
  BPF_TASK_FD_QUERY: ['agent', `${ID}, and looks into any process`],
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: ['kernel', HELD],
  BPF_MAP_FREEZE: ['kernel', HELD],
  BPF_BTF_GET_NEXT_ID: ['agent', ID],
  BPF_MAP_LOOKUP_BATCH: ['kernel', HELD],
  BPF_MAP_LOOKUP_AND_DELETE_BATCH: ['kernel', HELD],
  BPF_MAP_UPDATE_BATCH: ['kernel', HELD],
  BPF_MAP_DELETE_BATCH: ['kernel', HELD],
  BPF_LINK_CREATE: ['agent', `${ID} (BPF_F_ID); the kernel then creates the link`],
  BPF_LINK_UPDATE: ['kernel', HELD],
  BPF_LINK_GET_FD_BY_ID: ['agent', ID],
  BPF_LINK_GET_NEXT_ID: ['agent', ID],
  BPF_ENABLE_STATS: ['agent', 'asks for CAP_SYS_ADMIN, and CAP_BPF is to suffice'],
  BPF_ITER_CREATE: ['agent', "bpftool's iterator of processes shows ids"],
  BPF_LINK_DETACH: ['kernel', HELD],
  BPF_PROG_BIND_MAP: ['kernel', HELD],
  BPF_TOKEN_CREATE: ['kernel', `${HELD}; a token delegates rights to create, not ids`],
  BPF_PROG_STREAM_READ_BY_FD: ['kernel', HELD],
  BPF_PROG_ASSOC_STRUCT_OPS: ['kernel', HELD],
};

for (const [name, [answers, why]] of Object.entries(who)) {
  test(`${name} is for the ${answers}: ${why}`, () => {
    const command = bpf_cmd[name as Name];
    assert.equal((trappedCommands as readonly number[]).includes(command), answers === 'agent');
    assert.equal(nativeFor('host').includes(command), answers === 'kernel');
  });
}

test('there is no other command, but for our own', () => {
  const listed = Object.keys(who).map((name) => bpf_cmd[name as Name]);
  const all = [...trappedCommands, ...nativeFor('host')].sort((a, b) => a - b);
  assert.deepEqual(
    all,
    [...listed, OWN_NAMESPACE.command].sort((a, b) => a - b),
  );
});

const TYPE = "a type in a BTF that the caller holds, or in the kernel's";
const RELATIVE: readonly Name[] = ['BPF_PROG_ATTACH', 'BPF_PROG_DETACH', 'BPF_LINK_CREATE'];
const NEXT_OR_OPEN = (kind: string): Name[] => [`BPF_${kind}_GET_NEXT_ID` as Name, `BPF_${kind}_GET_FD_BY_ID` as Name];

/** For each id: the commands that take or give it, all of which the agent answers; or what else it is. */
const ids: Readonly<Record<string, readonly Name[] | string>> = {
  btf_key_type_id: TYPE,
  btf_value_type_id: TYPE,
  btf_vmlinux_value_type_id: TYPE,
  attach_btf_id: TYPE,
  link_create_target_btf_id: TYPE,
  link_create_tracing_target_btf_id: TYPE,
  link_create_tracing_multi_ids: TYPE,
  keyring_id: 'a serial number of keyrings',
  prog_stream_read_stream_id: 'stdout or stderr of a program',
  link_create_uprobe_multi_pid: 'a pid',
  task_fd_query_pid: 'a pid',
  task_fd_query_prog_id: ['BPF_TASK_FD_QUERY'],
  relative_id: RELATIVE,
  link_create_tcx_relative_id: RELATIVE,
  link_create_netkit_relative_id: RELATIVE,
  link_create_cgroup_relative_id: RELATIVE,
  start_id: ['MAP', 'PROG', 'LINK', 'BTF'].flatMap(NEXT_OR_OPEN),
  next_id: ['MAP', 'PROG', 'LINK', 'BTF'].flatMap(NEXT_OR_OPEN),
  map_id: NEXT_OR_OPEN('MAP'),
  prog_id: NEXT_OR_OPEN('PROG'),
  link_id: NEXT_OR_OPEN('LINK'),
  btf_id: NEXT_OR_OPEN('BTF'),
  query_prog_ids: ['BPF_PROG_QUERY'],
  query_link_ids: ['BPF_PROG_QUERY'],
};

test('the agent answers every command that takes or gives the id of an object', () => {
  for (const [id, commands] of Object.entries(ids)) {
    if (typeof commands === 'string') continue;
    for (const name of commands) assert.equal(who[name][0], 'agent', `${id} of ${name}`);
  }
});

test('no attribute has another member whose name says that it is an id', () => {
  const named = Object.keys(bpf_attr).filter((name) => /(^|_)[pt]?ids?$/.test(name));
  assert.deepEqual(named.sort(), Object.keys(ids).sort());
});
