/**
 * The agent: one process for the machine. It starts on demand, serves every namespace,
 * and leaves, taking the recorder with it, when the last namespace is gone.
 */
import { nameProblem, type Request, type RunReply, type RunRequest, type StatusReply } from '../control/protocol.js';
import { type HostId, INIT, type Kind, kinds } from '../model/ids.js';
import type { Namespace } from '../model/namespaces.js';
import { HolderReader } from '../recorder/holders.js';
import { Mirror } from '../recorder/mirror.js';
import { Recorder } from '../recorder/recorder.js';
import { readStatus } from '../recorder/records.js';
import { bootTimeNs } from '../sys/clock.js';
import { check, E, SyscallError } from '../sys/errno.js';
import { close } from '../sys/libc.js';
import { getFd, namespaceInode, openProcess } from '../sys/task.js';
import type { Context } from './commands/context.js';
import { ControlServer } from './control.js';
import { probeKernel } from './kernel-facts.js';
import { Listeners } from './listeners.js';
import type { OnFault } from './loop.js';
import { OwnRights } from './own-rights.js';
import { PathResolver } from './path-resolver.js';

/** How often dead objects and idle namespaces are looked for, in ms. */
const TICK = 500;
/** Records checked per tick: bounds how long guests may wait behind it. */
const SWEEP = 2048;

export interface AgentOptions {
  /** How long to stay with nothing to do, in ms. */
  readonly lingerMs: number;
  readonly onFault: OnFault;
  /** Called once everything has been taken down. */
  readonly onExit: () => void;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #recorder: Recorder;
  readonly #mirror: Mirror;
  readonly #context: Context;
  readonly #listeners: Listeners;
  readonly #control: ControlServer;
  readonly #timer: NodeJS.Timeout;
  #idleSince = Date.now();
  #toSweep: Iterator<readonly [Kind, HostId]>;

  /** @throws SyscallError if the recorder cannot be put in place */
  constructor(options: AgentOptions) {
    this.#options = options;
    const facts = probeKernel();
    this.#recorder = Recorder.install();
    this.#mirror = new Mirror(this.#recorder);
    this.#toSweep = this.#mirror.model.everything();
    this.#context = {
      mirror: this.#mirror,
      facts,
      own: new OwnRights(),
      paths: new PathResolver(),
      holders: new HolderReader(),
    };
    this.#listeners = new Listeners(this.#context, options.onFault, (namespace) => this.#removeIfUnused(namespace));
    this.#control = new ControlServer(
      (request, pid) => this.#handle(request, pid),
      () => {
        this.#idleSince = Date.now();
      },
    );
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  listen(): Promise<void> {
    return this.#control.listen();
  }

  /** Takes everything down. Tasks still in a namespace get ENOSYS for trapped calls from now on. */
  stop(): void {
    clearInterval(this.#timer);
    this.#control.close();
    this.#context.paths.close();
    this.#context.holders.close();
    this.#mirror.close();
    this.#recorder.remove();
    this.#options.onExit();
  }

  #handle(request: Request, pid: number): RunReply | StatusReply {
    switch (request.op) {
      case 'run':
        return this.#run(request, pid);
      case 'status': {
        const { lostObjects, lostTasks, ringOverflows } = readStatus(this.#recorder.mapFd('status'));
        const namespaces = this.#mirror.model.all().length;
        return { pid: process.pid, backend: this.#recorder.backend, namespaces, lostObjects, lostTasks, ringOverflows };
      }
    }
  }

  #run(request: RunRequest, pid: number): RunReply {
    const problem = request.name === '' ? undefined : nameProblem(request.name);
    if (problem) throw new SyscallError(E.EINVAL, 'run', `cannot call a namespace '${request.name}': ${problem}`);
    if (request.name !== '' && this.#mirror.model.all().some(({ spec }) => spec.name === request.name)) {
      throw new SyscallError(E.EEXIST, 'run', `there is a namespace '${request.name}' already`);
    }
    const pidfd = check(openProcess(pid), 'pidfd_open', `cannot find the caller, process ${pid}`);
    try {
      const listener = check(
        getFd(pidfd, request.listener),
        'pidfd_getfd',
        `cannot take the listener of process ${pid}`,
      );
      const namespace = this.#mirror.create({
        parent: INIT,
        name: request.name,
        pinsAny: request.pins === 'any',
        userNs: namespaceInode(pid, 'user'),
        ownerUid: 0,
        createdNs: bootTimeNs(),
      });
      this.#mirror.enter(pidfd, namespace);
      this.#listeners.add(listener, namespace);
      return { namespace: namespace.id };
    } finally {
      close(pidfd);
    }
  }

  #tick(): void {
    this.#mirror.update();
    this.#mirror.checkOverflow();
    this.#sweep();
    for (const namespace of this.#mirror.model.all()) this.#removeIfUnused(namespace);
    const isIdle = this.#mirror.model.all().length === 1 && this.#control.connections === 0;
    if (!isIdle) this.#idleSince = Date.now();
    else if (Date.now() - this.#idleSince >= this.#options.lingerMs) this.stop();
  }

  /** Forgets dead objects, a few at a time, round and round. */
  #sweep(): void {
    for (let i = 0; i < SWEEP; i++) {
      const next = this.#toSweep.next();
      if (next.done) {
        this.#toSweep = this.#mirror.model.everything();
        return;
      }
      this.#mirror.isAlive(...next.value);
    }
  }

  /** A namespace lives while it has a task, a child or a live object. */
  #removeIfUnused(namespace: Namespace): void {
    if (namespace.id === INIT || this.#listeners.count(namespace) > 0 || namespace.children.size > 0) return;
    this.#mirror.update();
    for (const kind of kinds) {
      for (const host of namespace.owned[kind]) if (this.#mirror.isAlive(kind, host)) return;
    }
    this.#mirror.remove(namespace);
    if (namespace.parent) this.#removeIfUnused(namespace.parent);
    this.#idleSince = Date.now();
  }
}
