/** Answers the requests that change nothing. */

import type { Socket } from 'node:net';
import type { Accountant } from '../accounting/accountant.js';
import type { Services } from '../calls/services.js';
import type {
  ReadingRequest,
  StatisticsReply,
  StatusReply,
  SubscribedReply,
  TaskReply,
  WhoReply,
} from '../control/protocol.js';
import type { Recorder } from '../recorder/recorder.js';
import { E, SyscallError } from '../sys/errno.js';
import { openThread } from '../sys/task.js';
import { budgetsOf, ShownBudgets } from './budgets.js';
import type { Peer } from './peer.js';

/** pid_t is signed. */
const MAX_PID = 0x7fffffff;
type Reply = StatusReply | SubscribedReply | StatisticsReply | WhoReply | TaskReply;

export class Readers {
  readonly #services: Services;
  readonly #recorder: Recorder;
  readonly #accountant: Accountant;
  readonly #isDaemon: boolean;
  readonly #budgets: ShownBudgets;

  constructor(services: Services, recorder: Recorder, accountant: Accountant, isDaemon: boolean) {
    this.#isDaemon = isDaemon;
    this.#services = services;
    this.#recorder = recorder;
    this.#accountant = accountant;
    this.#budgets = new ShownBudgets(() => budgetsOf(services));
  }

  /** @throws SyscallError */
  async handle(request: ReadingRequest, { uid }: Peer, socket: Socket): Promise<Reply> {
    const isRoot = uid === 0;
    // Streams start after the reply, which this turn of the loop writes.
    switch (request.op) {
      case 'events':
        setImmediate(() => this.#services.events.subscribe(socket));
        return { subscribed: true };
      case 'list':
      case 'watch': {
        const { objects } = request;
        const interval = request.op === 'watch' ? request.interval : undefined;
        setImmediate(() => this.#accountant.stream(socket, isRoot, { objects, interval }));
        return { subscribed: true };
      }
      case 'status':
        return this.#status();
      case 'statistics':
        return this.#statistics();
      case 'who': {
        const report = await this.#accountant.who(socket, isRoot, request.kind, request.hostId);
        if (report) return report;
        throw new SyscallError(E.ENOENT, 'who', `no ${request.kind} has the host id ${request.hostId}`);
      }
      case 'objects':
      case 'graph':
      case 'processes':
        setImmediate(() => void this.#accountant.report(socket, isRoot, request));
        return { subscribed: true };
      case 'task':
        return this.#task(request.pid);
    }
  }

  #status(): StatusReply {
    const { lostObjects, lostTasks, missedCalls, missedForks, ringOverflows } = this.#recorder.status();
    const lost = { lostObjects, lostTasks, missedCalls, missedForks, ringOverflows };
    const namespaces = this.#services.mirror.model.count;
    const { backend } = this.#recorder;
    const isDaemon = this.#isDaemon;
    const budgets = this.#budgets.get();
    return { pid: process.pid, isDaemon, backend, namespaces, ...lost, budgets };
  }

  #statistics(): StatisticsReply {
    const commands = [...this.#services.statistics.commands].map(([command, { results, total }]) => {
      return { command, results: Object.fromEntries(results), seconds: total };
    });
    return { commands, recorder: this.#recorder.status(), runtime: this.#accountant.runtime };
  }

  #task(pid: number): TaskReply {
    const tid = Math.min(pid, MAX_PID);
    using process = openThread(tid, () => tid).checked('pidfd_open', `cannot find process ${pid}`);
    const { mirror } = this.#services;
    const { id, path, level } = mirror.model.get(mirror.namespaceOfProcess(process)) ?? mirror.model.init;
    return { pid, namespace: id, path, level };
  }
}
