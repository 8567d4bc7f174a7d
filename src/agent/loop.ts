/** The loop: receive, read, decide and act (commands/), reply. One notification at a time. */
import type { Namespace } from '../model/namespaces.js';
import { MAX_STRUCT } from '../sys/bpf.js';
import { E } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { readMemory } from '../sys/memory.js';
import { Notification, receive, reply, replyContinue, replyFd } from '../sys/seccomp.js';
import { Call, CallerGone, type Reply } from './call.js';
import type { Context } from './commands/context.js';
import { type Command, commands } from './commands/index.js';

const COMMAND_MASK = 0xffff;
const notification = new Notification();
const attr = Buffer.alloc(MAX_STRUCT);

/** Called with what went wrong inside a handler: the caller got an error, the agent goes on. */
export type OnFault = (command: string, error: unknown) => void;

/** Answers one notification of a listener that is readable; false if there was none after all. */
export function serveOne(listener: number, namespace: Namespace, context: Context, onFault: OnFault): boolean {
  if (receive(listener, notification) < 0) return false; // the caller was killed before we got to it
  const command = notification.argument(0);
  const entry: Command | undefined = (commands as Readonly<Record<number, Command>>)[command & COMMAND_MASK];
  try {
    finish(listener, notification.buffer, answer(listener, namespace, command, entry, context), onFault);
  } catch (error) {
    if (error instanceof CallerGone) return true;
    // A fault of ours must neither hang the caller nor let an id command through.
    onFault(entry?.name ?? `command ${command}`, error);
    reply(listener, notification.buffer, -E.EPERM);
  }
  return true;
}

function answer(
  listener: number,
  namespace: Namespace,
  command: number,
  entry: Command | undefined,
  context: Context,
): Reply | Promise<Reply> {
  if (!entry || (command > COMMAND_MASK && !context.facts.hasCommonAttrs)) return -E.EINVAL;
  const size = notification.argument(2);
  const status = readAttr(size, context.facts.attrSize);
  if (status < 0) return status;
  const call = new Call(
    notification,
    listener,
    namespace,
    { buffer: attr, size: Math.min(size, context.facts.attrSize), address: notification.pointer(1) },
    entry.needs,
    context.own,
  );
  try {
    context.mirror.update();
    return entry.handle(call, context);
  } finally {
    call.close();
  }
}

/** Fills `attr` as __sys_bpf() does: zero-extended, E2BIG for a set bit behind what the kernel knows. */
function readAttr(size: number, kernelSize: number): number {
  if (size > MAX_STRUCT) return -E.E2BIG;
  attr.fill(0);
  if (!readMemory(notification.tid, notification.pointer(1), attr, size)) return -E.EFAULT;
  for (let i = kernelSize; i < size; i++) if (attr[i] !== 0) return -E.E2BIG;
  return 0;
}

function finish(listener: number, id: Buffer, outcome: Reply | Promise<Reply>, onFault: OnFault): void {
  if (outcome instanceof Promise) {
    const copy = Buffer.from(id.subarray(0, 8));
    outcome.then(
      (late) => send(listener, copy, late),
      (error: unknown) => {
        onFault('a late answer', error);
        reply(listener, copy, -E.EPERM);
      },
    );
  } else {
    send(listener, id, outcome);
  }
}

function send(listener: number, id: Buffer, outcome: Reply): void {
  if (outcome === 'continue') {
    replyContinue(listener, id);
  } else if (typeof outcome === 'number') {
    reply(listener, id, outcome);
  } else {
    const sent = replyFd(listener, id, outcome.fd);
    close(outcome.fd);
    // The caller's own limits refuse an fd (EMFILE); it is told so.
    if (sent < 0) reply(listener, id, sent);
  }
}
