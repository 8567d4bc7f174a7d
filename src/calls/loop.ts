/** Receives and serves calls one by one. The steps from the notification to the reply are in this file. */

// The global `performance` is a getter.
import { performance } from 'node:perf_hooks';
import type { Slot } from '../supervisor/journal.js';
import { E, errnoName, Refusal } from '../sys/errno.js';
import { receive } from '../sys/seccomp.js';
import { Call, FAULT, type Reply } from './call.js';
import { CallerGone } from './caller.js';
import { type Command, commandOf } from './commands/index.js';
import type { Services } from './services.js';
import type { Source } from './source.js';

/** How long the dead may be looked for after each answer, in ms. */
const AFTER_ANSWER = 2;

type Outcome = Reply | Promise<Reply>;

/** Serves one notification of a readable listener. @returns as `onReadable` of {@link ReadySet.add} */
export function serveOne(source: Source, services: Services): number {
  const { journal } = services;
  journal.begin(source.token);
  // ENOENT: the caller was killed in the meantime.
  if (receive(source.listener, journal.current.notification) < 0) return 0;
  return serve(source, journal.current, services);
}

/**
 * Serves a call in the journal: the current one, or one that an earlier agent left.
 * @returns when it was answered, by performance.now(); 0 if it is answered later, or not at all
 */
export function serve(source: Source, slot: Slot, services: Services): number {
  const answered = serveNow(source, slot, services);
  // Not before: a caller that signals interrupt may have to wait for less than that at a time.
  services.mirror.sweeper.catchUp(AFTER_ANSWER);
  return answered;
}

function serveNow(source: Source, slot: Slot, services: Services): number {
  const call = new Call(source, slot, services);
  const command = commandOf(call.notification);
  services.watchdog.begin(call.notification, source.listener);
  const outcome = decide(call, command, services);
  services.watchdog.end();
  if (!(outcome instanceof Promise)) {
    return finish(call, command, outcome, services);
  }
  call.setAside();
  outcome.then(
    (late) => finish(call, command, late, services),
    (error: unknown) => finish(call, command, outcomeOf(error, command, services), services),
  );
  return 0;
}

/** @returns undefined if there is nobody to answer */
function decide(call: Call, command: Command, services: Services): Outcome | undefined {
  // An earlier agent already gave the descriptor: a second one would be a leak.
  if (call.givenFd >= 0) return call.givenFd;
  try {
    return answer(call, command, services);
  } catch (error) {
    return outcomeOf(error, command, services);
  }
}

/** The outcome of a call whose command threw, at once or later. */
function outcomeOf(error: unknown, command: Command, services: Services): Reply | undefined {
  if (error instanceof CallerGone) return undefined;
  if (error instanceof Refusal) return -error.errno;
  // A fault of the agent must neither hang the caller nor let an id command through.
  services.onFault(command.name, error);
  return FAULT;
}

/** Reads the input, identifies the caller, catches up with the recorder, and runs the command. */
function answer(call: Call, command: Command, services: Services): Outcome {
  const settled = command.read(call, services);
  if (settled !== undefined) return settled;
  call.identify(command.needs, services);
  services.mirror.update();
  return command.handle(call, services);
}

function finish(call: Call, command: Command, outcome: Reply | undefined, services: Services): number {
  const result = outcome === undefined ? undefined : resultOf(outcome);
  call.reply(outcome);
  if (result === undefined) return 0;
  const { id } = call.namespace;
  const now = performance.now();
  services.statistics.count(command.name, result, (now - call.started) / 1000, id);
  if (outcome === -E.EPERM || outcome === -E.ENOMEM) {
    services.events.emit({ event: 'call-refused', command: command.name, ...call.caller.shown, namespace: id });
  }
  return now;
}

/** The result of a call, for metrics. */
function resultOf(outcome: Reply): string {
  if (outcome === 'continue') return 'continue';
  const value = typeof outcome === 'number' ? outcome : outcome.number;
  return value < 0 ? errnoName(-value) : 'ok';
}
