/** Every command of bpf(2), of Linux 7.3: who answers it, and why. A command that a later kernel adds is missing here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bpf_cmd } from '../sys/kernel.gen.js';
import { OWN_NAMESPACE } from './own-command.js';
import { nativeFor, trappedCommands } from './trapped.js';

type Name = Exclude<keyof typeof bpf_cmd, 'BPF_COMMON_ATTRS' | 'BPF_PROG_RUN'>;

const ID = 'takes or gives an id';
/** They act on what the caller holds, with the caller's rights. */
const HELD = 'acts on fds that the caller holds';
const CREATES = 'creates an object, which must be the caller’s own; the recorder sees it';

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
  BPF_ITER_CREATE: ['agent', 'bpftool’s iterator of processes shows ids'],
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
