/** THE TABLE: trapped command -> handler. Start reading here. */

import { OWN_NAMESPACE } from '../../filter/own-command.js';
import type { TrappedCommand } from '../../filter/trapped.js';
import { bpf_cmd } from '../../sys/kernel.gen.js';
import type { Call, Needs, Reply } from '../call.js';
import type { Context } from '../services.js';
import { getFdById } from './get-fd-by-id.js';
import { getNextId } from './get-next-id.js';
import { getInfoByFd } from './info/get-info-by-fd.js';
import { iterCreate } from './iter-create.js';
import { clone3, ownNamespace } from './nesting.js';
import { objGet } from './pins/obj-get.js';
import { progQuery } from './prog-query.js';
import { linkCreatePlace, progAttachPlace, translateRelativeId } from './relative-id.js';
import { taskFdQuery } from './task-fd-query.js';

export interface Command {
  /** For messages and metrics. */
  readonly name: string;
  readonly needs: Needs;
  readonly handle: (call: Call, context: Context) => Reply | Promise<Reply>;
}

const reads: Needs = { rights: true };
const writes: Needs = { rights: true, memory: true };
const translates: Needs = { memory: true };

export const commands: Readonly<Record<TrappedCommand, Command>> = {
  [bpf_cmd.BPF_MAP_GET_NEXT_ID]: { name: 'MAP_GET_NEXT_ID', needs: writes, handle: (c, x) => getNextId(c, x, 'map') },
  [bpf_cmd.BPF_PROG_GET_NEXT_ID]: {
    name: 'PROG_GET_NEXT_ID',
    needs: writes,
    handle: (c, x) => getNextId(c, x, 'prog'),
  },
  [bpf_cmd.BPF_LINK_GET_NEXT_ID]: {
    name: 'LINK_GET_NEXT_ID',
    needs: writes,
    handle: (c, x) => getNextId(c, x, 'link'),
  },
  [bpf_cmd.BPF_BTF_GET_NEXT_ID]: { name: 'BTF_GET_NEXT_ID', needs: writes, handle: (c, x) => getNextId(c, x, 'btf') },
  [bpf_cmd.BPF_MAP_GET_FD_BY_ID]: { name: 'MAP_GET_FD_BY_ID', needs: reads, handle: (c, x) => getFdById(c, x, 'map') },
  [bpf_cmd.BPF_PROG_GET_FD_BY_ID]: {
    name: 'PROG_GET_FD_BY_ID',
    needs: reads,
    handle: (c, x) => getFdById(c, x, 'prog'),
  },
  [bpf_cmd.BPF_LINK_GET_FD_BY_ID]: {
    name: 'LINK_GET_FD_BY_ID',
    needs: reads,
    handle: (c, x) => getFdById(c, x, 'link'),
  },
  [bpf_cmd.BPF_BTF_GET_FD_BY_ID]: { name: 'BTF_GET_FD_BY_ID', needs: reads, handle: (c, x) => getFdById(c, x, 'btf') },
  [bpf_cmd.BPF_OBJ_GET_INFO_BY_FD]: { name: 'OBJ_GET_INFO_BY_FD', needs: writes, handle: getInfoByFd },
  [bpf_cmd.BPF_PROG_QUERY]: { name: 'PROG_QUERY', needs: writes, handle: progQuery },
  [bpf_cmd.BPF_TASK_FD_QUERY]: { name: 'TASK_FD_QUERY', needs: writes, handle: taskFdQuery },
  [bpf_cmd.BPF_OBJ_GET]: { name: 'OBJ_GET', needs: reads, handle: objGet },
  [bpf_cmd.BPF_ITER_CREATE]: { name: 'ITER_CREATE', needs: reads, handle: iterCreate },
  [bpf_cmd.BPF_LINK_CREATE]: {
    name: 'LINK_CREATE',
    needs: translates,
    handle: (c, x) => translateRelativeId(c, x, linkCreatePlace),
  },
  [bpf_cmd.BPF_PROG_ATTACH]: {
    name: 'PROG_ATTACH',
    needs: translates,
    handle: (c, x) => translateRelativeId(c, x, progAttachPlace),
  },
  [bpf_cmd.BPF_PROG_DETACH]: {
    name: 'PROG_DETACH',
    needs: translates,
    handle: (c, x) => translateRelativeId(c, x, progAttachPlace),
  },
  [OWN_NAMESPACE.command]: { name: 'OWN_NAMESPACE', needs: writes, handle: ownNamespace },
};

/** The two other system calls that are trapped where nesting is on. */
export const clone3Command: Command = { name: 'clone3', needs: writes, handle: clone3 };
export const unshareNeeds: Needs = reads;
