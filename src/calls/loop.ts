/** The loop: receive, read, decide and act (commands/), reply. One notification at a time. */
import { INIT } from '../model/ids.js';
import { isSameOrAncestor, type Namespace } from '../model/namespaces.js';
import type { Entry } from '../supervisor/journal.js';
import { MAX_STRUCT } from '../sys/bpf.js';
import { E, errnoName } from '../sys/errno.js';
import { close, SYS } from '../sys/libc.js';
import { readMemory } from '../sys/memory.js';
import { addFd, type Notification, receive, reply, replyContinue } from '../sys/seccomp.js';
import { Call, CallerGone, type Needs, type Reply } from './call.js';
import { type Command, clone3Command, commands, unshareNeeds } from './commands/index.js';
import { isPlainClone, unshare } from './commands/nesting.js';
import type { Context } from './services.js';

const COMMAND_MASK = 0xffff;
/** Less than that the kernel refuses (EINVAL). */
const CLONE_ARGS_SIZE_VER0 = 64;

/** Called with what went wrong inside a handler: the caller got an error, the agent goes on. */
export type OnFault = (command: string, error: unknown) => void;

type Outcome = Reply | Promise<Reply>;

/** A filter's listener, and the namespace that it was installed for: its tasks are there or below. */
export interface Source {
  readonly listener: number;
  readonly namespace: Namespace;
  /** Names the listener in the journal. */
  readonly token: number;
  /** The id of the container whose runtime sent it; '' if it came another way. */
  readonly container: string;
}

/** Answers one notification of a listener that is readable; false if there was none after all. */
export function serveOne(source: Source, context: Context, onFault: OnFault): boolean {
  const { current } = context.journal;
  context.journal.begin(source.token);
  if (receive(source.listener, current.notification) < 0) return false; // the caller was killed before we got to it
  serve(source, current, context, onFault);
  return true;
}

/** Answers a call that has been received, perhaps by an agent that died before it could; takes it out of the journal. */
export function serve(source: Source, entry: Entry, context: Context, onFault: OnFault): void {
  const { journal } = context;
  journal.serve(entry);
  const started = performance.now();
  context.watchdog.begin(entry.notification.tid);
  const outcome = decide(source, entry, context, onFault);
  context.watchdog.end();
  if (!(outcome instanceof Promise)) {
    if (outcome !== undefined) answered(source, entry, outcome, started, context);
    entry.end();
    return;
  }
  const kept = journal.keep(entry);
  if (kept !== entry) entry.end();
  const settle = (late: Reply): void => {
    if (journal.isPaused) {
      if (typeof late === 'object') close(late.fd);
      return;
    }
    answered(source, kept, late, started, context);
    kept.end();
  };
  outcome.then(settle, (error: unknown) => {
    onFault('a late answer', error);
    settle(-E.EPERM);
  });
}

/** undefined if there is nobody to answer. */
function decide(source: Source, entry: Entry, context: Context, onFault: OnFault): Outcome | undefined {
  const { notification } = entry;
  // An earlier agent got as far as the fd: a second one would be a leak.
  if (entry.givenFd >= 0) return entry.givenFd;
  try {
    return answer(source, notification, context);
  } catch (error) {
    if (error instanceof CallerGone) return undefined;
    // A fault of ours must neither hang the caller nor let an id command through.
    onFault(`system call ${notification.number}, command ${notification.argument(0)}`, error);
    return -E.EPERM;
  }
}

function answered(source: Source, entry: Entry, outcome: Reply, started: number, context: Context): void {
  send(source.listener, entry, outcome);
  const command = nameOf(entry.notification);
  context.statistics.count(command, resultOf(outcome), (performance.now() - started) / 1000);
  if (outcome !== -E.EPERM) return;
  const { tid } = entry.notification;
  context.events.emit({ event: 'call-refused', command, tid, namespace: source.namespace.id });
}

/** How a call ended, for metrics. */
function resultOf(outcome: Reply): string {
  if (outcome === 'continue') return 'continue';
  return typeof outcome === 'number' && outcome < 0 ? errnoName(-outcome) : 'ok';
}

/** What is called, for events and metrics. */
function nameOf(notification: Notification): string {
  if (notification.number === SYS.clone3) return clone3Command.name;
  if (notification.number === SYS.unshare) return 'unshare';
  if (notification.number !== SYS.bpf) return 'other';
  const command = notification.argument(0) & COMMAND_MASK;
  return (commands as Readonly<Record<number, Command>>)[command]?.name ?? 'other';
}

function answer(source: Source, notification: Notification, context: Context): Outcome {
  switch (notification.number) {
    case SYS.bpf:
      return answerBpf(source, notification, context);
    case SYS.clone3:
      return context.journal.serving.child === 0 && isPlainClone(notification.tid, notification.pointer(0))
        ? 'continue'
        : answerClone3(source, notification, context);
    case SYS.unshare:
      return withCall(source, notification, context, 0, -1, unshareNeeds, (call) =>
        unshare(call, context, notification.argument(0), notification.argumentHigh(0)),
      );
    default:
      return -E.ENOSYS; // not in our filters; a container's profile may hand over more
  }
}

function answerBpf(source: Source, notification: Notification, context: Context): Outcome {
  const command = notification.argument(0);
  const entry: Command | undefined = (commands as Readonly<Record<number, Command>>)[command & COMMAND_MASK];
  const size = notification.argument(2);
  const status = readAttr(notification, size, context);
  if (status < 0) return status;
  if (!entry || (command > COMMAND_MASK && !context.facts.hasCommonAttrs)) return -E.EINVAL;
  const known = Math.min(size, context.facts.attrSize);
  return withCall(source, notification, context, known, notification.pointer(1), entry.needs, (call) =>
    entry.handle(call, context),
  );
}

function answerClone3(source: Source, notification: Notification, context: Context): Outcome {
  const size = notification.argument(1);
  // What struct clone_args is too short or too long for is the kernel's to refuse.
  if (size < CLONE_ARGS_SIZE_VER0 || size > MAX_STRUCT || notification.argumentHigh(1) !== 0) return 'continue';
  if (copyAttr(notification, notification.pointer(0), size, context) < size) return 'continue';
  const { needs, handle } = clone3Command;
  return withCall(source, notification, context, size, notification.pointer(0), needs, (call) => handle(call, context));
}

function withCall(
  source: Source,
  notification: Notification,
  context: Context,
  size: number,
  address: number,
  needs: Needs,
  use: (call: Call) => Outcome,
): Outcome {
  const namespace = namespaceOf(notification.tid, source.namespace, context);
  const input = { buffer: context.journal.attr.buffer, size, address };
  const call = new Call(notification, source.listener, namespace, input, needs, context.own);
  try {
    context.mirror.update();
    return use(call);
  } finally {
    call.close();
  }
}

/** Only where the filter's namespace has children does the task itself have to be asked. */
function namespaceOf(tid: number, top: Namespace, { mirror }: Context): Namespace {
  if (top.children.size === 0) return top;
  const id = mirror.namespaceOfTask(tid);
  const namespace = id === INIT ? undefined : mirror.model.get(id);
  return namespace && isSameOrAncestor(top, namespace) ? namespace : top;
}

/** Copies attr as __sys_bpf() does: zero-extended, E2BIG for a set bit behind what the kernel knows. */
function readAttr(notification: Notification, size: number, context: Context): number {
  if (size > MAX_STRUCT) return -E.E2BIG;
  const done = copyAttr(notification, notification.pointer(1), size, context);
  const { buffer } = context.journal.attr;
  for (let i = context.facts.attrSize; i < done; i++) if (buffer[i] !== 0) return -E.E2BIG;
  return done < size ? -E.EFAULT : 0;
}

/** Returns how much could be copied. */
function copyAttr({ tid }: Notification, address: number, size: number, { journal }: Context): number {
  return journal.attr.once((into) => readMemory(tid, address, into.fill(0), size));
}

function send(listener: number, entry: Entry, outcome: Reply): void {
  const { buffer } = entry.notification;
  if (outcome === 'continue') {
    replyContinue(listener, buffer);
  } else if (typeof outcome === 'number') {
    reply(listener, buffer, outcome);
  } else {
    const number = addFd(listener, buffer, outcome.fd);
    if (number >= 0) entry.givenFd = number;
    close(outcome.fd);
    // The caller's own limits may refuse an fd (EMFILE); it is told so.
    reply(listener, buffer, number);
  }
}
