/** Answers the requests that change nothing. */

import type { Socket } from 'node:net';
import type { Accountant } from '../accounting/accountant.js';
import type { Services } from '../calls/services.js';
import {
  type EventsReply,
  MAX_LINE,
  type ReadingRequest,
  type StatisticsReply,
  type StatusReply,
  type TaskReply,
  type WhoReply,
} from '../control/protocol.js';
import type { Recorder } from '../recorder/recorder.js';
import { readStatus } from '../recorder/records.js';
import { E, SyscallError } from '../sys/errno.js';
import { openProcess } from '../sys/task.js';
import { budgetsOf } from './budgets.js';

/** pid_t is signed. */
const MAX_PID = 0x7fffffff;
/** Limits for lists and texts in a reply, which is one line. The longest that fit are chosen. */
const cuts = [
  { entries: 200, text: 300 },
  { entries: 20, text: 100 },
  { entries: 5, text: 30 },
] as const;

type Reply = StatusReply | EventsReply | StatisticsReply | WhoReply | TaskReply;

export class Readers {
  readonly #services: Services;
  readonly #recorder: Recorder;
  readonly #accountant: Accountant;
  readonly #isDaemon: boolean;

  constructor(services: Services, recorder: Recorder, accountant: Accountant, isDaemon: boolean) {
    this.#isDaemon = isDaemon;
    this.#services = services;
    this.#recorder = recorder;
    this.#accountant = accountant;
  }

  /** @throws SyscallError */
  async handle(request: ReadingRequest, socket: Socket): Promise<Reply> {
    // Streams start after the reply, which this turn of the loop writes.
    switch (request.op) {
      case 'events':
        setImmediate(() => this.#services.events.subscribe(socket));
        return { subscribed: true };
      case 'list':
      case 'watch': {
        const { objects } = request;
        const interval = request.op === 'watch' ? request.interval : undefined;
        setImmediate(() => this.#accountant.stream(socket, { objects, interval }));
        return { subscribed: true };
      }
      case 'status':
        return this.#status();
      case 'statistics':
        return this.#statistics();
      case 'who': {
        const report = await this.#accountant.who(request.kind, request.hostId);
        if (report) return shortened(report);
        throw new SyscallError(E.ENOENT, 'who', `no ${request.kind} has the host id ${request.hostId}`);
      }
      case 'task':
        return this.#task(request.pid);
    }
  }

  #status(): StatusReply {
    const { lostObjects, lostTasks, ringOverflows } = readStatus(this.#recorder.mapFd('status'));
    const namespaces = this.#services.mirror.model.all().length;
    const { backend } = this.#recorder;
    const isDaemon = this.#isDaemon;
    const budgets = budgetsOf(this.#services.mirror);
    return { pid: process.pid, isDaemon, backend, namespaces, lostObjects, lostTasks, ringOverflows, budgets };
  }

  #statistics(): StatisticsReply {
    const commands = [...this.#services.statistics.commands].map(([command, { results, total }]) => {
      return { command, results: Object.fromEntries(results), seconds: total };
    });
    return { commands, recorder: readStatus(this.#recorder.mapFd('status')), runtime: this.#accountant.runtime };
  }

  #task(pid: number): TaskReply {
    using process = openProcess(Math.min(pid, MAX_PID));
    if (!process.isOpen) throw new SyscallError(E.ESRCH, 'task', `there is no process ${pid}`);
    const { mirror } = this.#services;
    const { id, path, level } = mirror.model.get(mirror.namespaceOfProcess(process)) ?? mirror.model.init;
    return { pid, namespace: id, path, level };
  }
}

/** Guests decide how many pins there are, and how long their paths are. */
function shortened<T>(value: T): T {
  const cut = cuts.find((each) => JSON.stringify(cutTo(each, value)).length < MAX_LINE / 2) ?? cuts[2];
  return cutTo(cut, value);
}

function cutTo<T>(cut: (typeof cuts)[number], value: T): T {
  if (typeof value === 'string') return value.slice(0, cut.text) as T;
  if (Array.isArray(value)) return value.slice(0, cut.entries).map((each) => cutTo(cut, each)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cutTo(cut, each)])) as T;
}
