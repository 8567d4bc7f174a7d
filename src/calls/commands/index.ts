/**
 * The table of commands: what is trapped, what it needs to know about the caller, and the function
 * that answers it.
 */
import { OWN_NAMESPACE } from '../../filter/own-command.js';
import type { TrappedCommand } from '../../filter/trapped.js';
import { E } from '../../sys/errno.js';
import { bpf_attr, bpf_cmd } from '../../sys/kernel.gen.js';
import { SYS } from '../../sys/libc.js';
import type { Notification } from '../../sys/seccomp.js';
import type { Call, Reply } from '../call.js';
import type { Needs } from '../needs.js';
import type { Services } from '../services.js';
import { readBpfAttr } from './bpf-attr.js';
import { clone3, readCloneArgs } from './clone3.js';
import { enableStats } from './enable-stats.js';
import { getFdById } from './get-fd-by-id.js';
import { getNextId } from './get-next-id.js';
import { getInfoByFd, readInfoRequest } from './info/get-info-by-fd.js';
import { iterCreate } from './iter-create.js';
import { ownNamespace } from './own-namespace.js';
import { objGet } from './pins/obj-get.js';
import { progQuery } from './prog-query.js';
import { linkCreatePlace, progAttachPlace, translateRelativeId } from './relative-id.js';
import { taskFdQuery } from './task-fd-query.js';
import { perfEventOpen, readPerfAttr } from './tracing/perf-event-open.js';
import { progLoad } from './tracing/prog-load.js';
import { rawTracepointOpen } from './tracing/raw-tracepoint-open.js';
import { unshare } from './unshare.js';

export interface Command {
  /** For messages and metrics. */
  readonly name: string;
  readonly needs: Needs;
  /** Reads what the caller passes in memory. @returns a reply if that already decides the call */
  readonly read: (call: Call, services: Services) => Reply | undefined;
  /** @throws CallerGone */
  readonly handle: (call: Call, services: Services) => Reply | Promise<Reply>;
}

const COMMAND_MASK = 0xffff;
const reads: Needs = { rights: true };
const writes: Needs = { rights: true, memory: true };
const translates: Needs = { memory: true };
/** As {@link reads} and {@link writes}, for what only looks. */
const looks: Needs = { ...reads, onlyAnswers: true };
const tells: Needs = { ...writes, onlyAnswers: true };

function bpfCommand(name: string, needs: Needs, handle: Command['handle']): Command {
  return { name, needs, read: readBpfAttr, handle };
}

export const commands: Readonly<Record<TrappedCommand, Command>> = {
  [bpf_cmd.BPF_MAP_GET_NEXT_ID]: bpfCommand('MAP_GET_NEXT_ID', tells, (c, s) => getNextId(c, s, 'map')),
  [bpf_cmd.BPF_PROG_GET_NEXT_ID]: bpfCommand('PROG_GET_NEXT_ID', tells, (c, s) => getNextId(c, s, 'prog')),
  [bpf_cmd.BPF_LINK_GET_NEXT_ID]: bpfCommand('LINK_GET_NEXT_ID', tells, (c, s) => getNextId(c, s, 'link')),
  [bpf_cmd.BPF_BTF_GET_NEXT_ID]: bpfCommand('BTF_GET_NEXT_ID', tells, (c, s) => getNextId(c, s, 'btf')),
  [bpf_cmd.BPF_MAP_GET_FD_BY_ID]: bpfCommand('MAP_GET_FD_BY_ID', looks, (c, s) => getFdById(c, s, 'map')),
  [bpf_cmd.BPF_PROG_GET_FD_BY_ID]: bpfCommand('PROG_GET_FD_BY_ID', looks, (c, s) => getFdById(c, s, 'prog')),
  [bpf_cmd.BPF_LINK_GET_FD_BY_ID]: bpfCommand('LINK_GET_FD_BY_ID', looks, (c, s) => getFdById(c, s, 'link')),
  [bpf_cmd.BPF_BTF_GET_FD_BY_ID]: bpfCommand('BTF_GET_FD_BY_ID', looks, (c, s) => getFdById(c, s, 'btf')),
  [bpf_cmd.BPF_OBJ_GET_INFO_BY_FD]: {
    name: 'OBJ_GET_INFO_BY_FD',
    needs: { ...tells, object: bpf_attr.info_bpf_fd },
    read: readInfoRequest,
    handle: getInfoByFd,
  },
  [bpf_cmd.BPF_PROG_QUERY]: bpfCommand('PROG_QUERY', tells, progQuery),
  [bpf_cmd.BPF_TASK_FD_QUERY]: bpfCommand('TASK_FD_QUERY', writes, taskFdQuery),
  [bpf_cmd.BPF_OBJ_GET]: bpfCommand('OBJ_GET', reads, objGet),
  [bpf_cmd.BPF_ITER_CREATE]: bpfCommand('ITER_CREATE', reads, iterCreate),
  [bpf_cmd.BPF_LINK_CREATE]: bpfCommand('LINK_CREATE', translates, (c, s) =>
    translateRelativeId(c, s, linkCreatePlace),
  ),
  [bpf_cmd.BPF_PROG_ATTACH]: bpfCommand('PROG_ATTACH', translates, (c, s) =>
    translateRelativeId(c, s, progAttachPlace),
  ),
  [bpf_cmd.BPF_PROG_DETACH]: bpfCommand('PROG_DETACH', translates, (c, s) =>
    translateRelativeId(c, s, progAttachPlace),
  ),
  [bpf_cmd.BPF_ENABLE_STATS]: bpfCommand('ENABLE_STATS', reads, enableStats),
  [bpf_cmd.BPF_PROG_LOAD]: bpfCommand('PROG_LOAD', writes, progLoad),
  [bpf_cmd.BPF_RAW_TRACEPOINT_OPEN]: bpfCommand('RAW_TRACEPOINT_OPEN', reads, rawTracepointOpen),
  [OWN_NAMESPACE.command]: bpfCommand('OWN_NAMESPACE', writes, ownNamespace),
};

/** All but our own have low numbers. A table without gaps is faster. */
const LOW = 64;
const low = Array.from({ length: LOW }, (_, number) => commands[number as TrappedCommand]);

const nothing = (): undefined => undefined;
/** System calls other than bpf(2), trapped where nesting is enabled or tracing is restricted. */
const systemCalls: Readonly<Record<number, Command>> = {
  [SYS.clone3]: { name: 'clone3', needs: writes, read: readCloneArgs, handle: clone3 },
  [SYS.perf_event_open]: { name: 'perf_event_open', needs: writes, read: readPerfAttr, handle: perfEventOpen },
  [SYS.unshare]: { name: 'unshare', needs: reads, read: nothing, handle: unshare },
};

const unknownCommand = bpfCommand('other', {}, () => -E.EINVAL);
/** Our filters do not trap it, but the profile of a container may. */
const unknownCall: Command = { name: 'other', needs: {}, read: () => -E.ENOSYS, handle: () => -E.ENOSYS };

/** The command of a notification. */
export function commandOf(notification: Notification): Command {
  if (notification.number !== SYS.bpf) return systemCalls[notification.number] ?? unknownCall;
  const number = notification.argument(0) & COMMAND_MASK;
  return ((number < LOW ? low[number] : commands[number as TrappedCommand]) as Command | undefined) ?? unknownCommand;
}
