/**
 * The agent: one process for the machine. It starts on demand, serves every namespace, and exits
 * when the last namespace ends, after it removed the recorder.
 *
 * Long because it puts all parts together.
 */
import type { Socket } from 'node:net';
import { Accountant } from '../accounting/accountant.js';
import type { Eyes } from '../calls/caller.js';
import { restoreMarks } from '../calls/commands/clone3.js';
import { PathResolver } from '../calls/commands/pins/path-resolver.js';
import { ProgramLoader, type TracingLimits } from '../calls/commands/tracing/program-loader.js';
import { TracefsView } from '../calls/commands/tracing/tracefs-view.js';
import { KeptFds } from '../calls/kept-fds.js';
import { Listeners } from '../calls/listeners.js';
import { LostContainers } from '../calls/lost-containers.js';
import { OwnRights } from '../calls/own-rights.js';
import type { OnFault, Services } from '../calls/services.js';
import { MOST_SLOW_CALLS, Turns } from '../calls/turns.js';
import { Watchdog } from '../calls/watchdog.js';
import { paths, userPaths } from '../config/paths.js';
import { type HandoverReply, isReading, type ReleaseReply, type Request } from '../control/protocol.js';
import type { RuntimeChoice } from '../control/usage.js';
import { probeKernel } from '../kernel/facts.js';
import { kinds } from '../model/ids.js';
import type { Limits } from '../recorder/budgets.js';
import type { CarriedOver } from '../recorder/carry-over.js';
import { readLabels } from '../recorder/container-labels.js';
import { Eye } from '../recorder/eye.js';
import { Inspector } from '../recorder/inspector.js';
import { Lifecycle } from '../recorder/lifecycle.js';
import { Mirror } from '../recorder/mirror.js';
import { Recorder } from '../recorder/recorder.js';
import type { Beginning, SupervisorLink } from '../supervisor/link.js';
import { E, SyscallError } from '../sys/errno.js';
import { FdReserve } from '../sys/fd-reserve.js';
import { type Watch, watch } from '../sys/poll.js';
import { Events } from '../telemetry/events.js';
import type { Measured } from '../telemetry/metrics.js';
import { Statistics } from '../telemetry/statistics.js';
import { budgetsOf } from './budgets.js';
import { Containers, type OnContainer, type OnLost, type OnRefused } from './containers.js';
import { ControlServer } from './control.js';
import type { Peer } from './peer.js';
import { Readers } from './readers.js';
import { handleRequest, refusal } from './requests.js';
import { lifeOf, tellOfBudget } from './telling.js';
import { handleUserRequest, makeDirectories, type User } from './users.js';

/** How often to look for dead objects and unused namespaces, in ms. */
const TICK = 500;
/** The longest pause between two looks, in ms, when nothing happens. */
const LONGEST_TICK = 2000;
/** How many records to check at a time. It bounds how long guests may wait for that. */
const SWEEP = 2048;
/** How long the dead are looked for between two turns of the loop, in ms: calls wait that long. */
const BETWEEN_CALLS = 10;

export interface AgentOptions {
  /** How long an idle agent stays, in ms; Infinity for a daemon. */
  readonly lingerMs: number;
  /** The most namespaces that one user may own. */
  readonly maxNamespacesPerUser: number;
  readonly runtime: RuntimeChoice;
  /** The id of the group whose members may read, besides root. */
  readonly readOnlyGroup: number | undefined;
  /** Who may make namespaces besides root, in user namespaces of their own. */
  readonly users: readonly User[];
  /** Whether the view of tracefs is there from the start. */
  readonly tracefs: boolean;
  /** Of each top-level namespace. */
  readonly limits: Limits & TracingLimits;
  readonly onFault: OnFault;
  readonly onContainer: OnContainer;
  readonly onLost: OnLost;
  readonly onRefused: OnRefused;
  /** Called once another process has taken everything over. */
  readonly onReplaced: () => void;
  /** Called once the agent has finished. `isDone` is true if a next agent would have nothing to do. */
  readonly onExit: (isDone: boolean) => void;
}

export class Agent {
  /** What an upgrade has carried over when this agent started. */
  readonly carriedOver: CarriedOver | undefined;
  readonly #options: AgentOptions;
  readonly #supervisor: SupervisorLink;
  readonly #recorder: Recorder;
  readonly #mirror: Mirror;
  readonly #services: Services;
  readonly #listeners: Listeners;
  readonly #containers: Containers;
  readonly #accountant: Accountant;
  readonly #readers: Readers;
  readonly #control: ControlServer;
  #timer: NodeJS.Timeout;
  readonly #ring: Watch;
  #idleSince = Date.now();
  #pause = TICK;
  #lastActivity = 0;
  #isStopped = false;
  #isCatchingUp = false;
  /** The connection of a daemon that is replacing this agent. */
  #heir: Socket | undefined;

  /** @throws SyscallError if the recorder or a socket cannot be put in place */
  constructor(options: AgentOptions, supervisor: SupervisorLink, beginning: Beginning) {
    this.#options = options;
    this.#supervisor = supervisor;
    const lookups = new PathResolver();
    // The thread starts while this one loads the recorder.
    if (beginning.listeners.length > 0) lookups.expect();
    const facts = probeKernel();
    this.#recorder = Recorder.install();
    this.carriedOver = this.#recorder.carriedOver;
    this.#recorder.forgetFilters();
    this.#mirror = new Mirror(this.#recorder, options.limits);
    const inspector = new Inspector();
    const events = new Events();
    const statistics = new Statistics();
    const eyes: Eyes = { eye: Eye.open(this.#recorder), memories: new KeptFds(), threads: new KeptFds() };
    this.#mirror.onObject = (event) => events.emit(event);
    this.#mirror.onLostTask = (tid) => events.emit({ event: 'task-lost', tid });
    this.#mirror.onUnowned = (top, count) => tellOfBudget(events, top, 'objects', count);
    this.#mirror.kernelBtf.onUnnumbered = ({ top }) => tellOfBudget(events, top, 'numbers', 1);
    const programs = new ProgramLoader(options.limits);
    const life = lifeOf(events, statistics, (namespace) => programs.expect(namespace));
    this.#services = {
      mirror: this.#mirror,
      facts,
      own: new OwnRights(),
      paths: lookups,
      turns: new Turns(1, MOST_SLOW_CALLS),
      programs,
      tracefs: new TracefsView(paths.tracefs),
      inspector,
      journal: beginning.journal,
      watchdog: new Watchdog(),
      events,
      lost: new LostContainers(),
      statistics,
      eyes,
      fds: new FdReserve(() => {
        eyes.memories.close();
        eyes.threads.close();
      }),
      onFault: options.onFault,
      lifecycle: new Lifecycle(this.#mirror, inspector, options.maxNamespacesPerUser, life),
    };
    this.#listeners = new Listeners(this.#services, supervisor, (container, namespace) =>
      this.#containers.left(container, namespace),
    );
    // A mark of an earlier agent must not go to another child.
    if (this.#hasNamespaces) restoreMarks(inspector.members());
    this.#listeners.resume(beginning.listeners);
    makeDirectories(options.users);
    this.#containers = new Containers(
      this.#services,
      this.#listeners,
      options.users,
      options.onContainer,
      options.onLost,
      options.onRefused,
    );
    this.#containers.noteLost();
    this.#accountant = new Accountant(options.runtime, statistics.namespaces);
    this.#readers = new Readers(
      this.#services,
      this.#recorder,
      this.#accountant,
      options.lingerMs === Number.POSITIVE_INFINITY,
    );
    this.#control = new ControlServer(
      (peer) => refusal(peer, this.#services),
      (request, peer, socket) => this.#handle(request, peer, socket),
      options.users.map((user) => ({
        uid: user.uid,
        path: userPaths(user.uid).socket,
        onRequest: async (request, peer) => handleUserRequest(user, request, peer, this.#services, this.#listeners),
      })),
      () => {
        this.#idleSince = Date.now();
      },
    );
    this.#ring = watch(this.#mirror.eventsFd, () => this.#catchUp());
    this.#timer = setTimeout(() => this.#tick(), TICK);
  }

  async listen(): Promise<void> {
    if (this.#options.tracefs) await this.#services.tracefs.make();
    await this.#control.listen(this.#options.readOnlyGroup);
  }

  /**
   * Stops the agent. If no namespace is left, it removes everything. Otherwise the recorder keeps
   * working in the kernel for the next agent, and trapped calls of the tasks in namespaces fail
   * with ENOSYS.
   */
  stop(): void {
    if (this.#isStopped) return; // systemd and the supervisor both send a signal
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#services.lifecycle.close();
    this.#services.lifecycle.collect({ trustsFilters: false });
    this.#control.close();
    this.#containers.close();
    this.#accountant.close();
    this.#services.paths.close();
    this.#services.programs.close();
    this.#services.watchdog.close();
    this.#services.inspector.close();
    this.#services.eyes.eye?.close();
    this.#services.eyes.memories.close();
    this.#services.eyes.threads.close();
    this.#services.fds.close();
    this.#ring.close();
    this.#mirror.close();
    const isDone = !this.#hasNamespaces;
    if (isDone) this.#services.tracefs.remove();
    if (isDone) this.#recorder.remove();
    else this.#recorder.close();
    this.#options.onExit(isDone);
  }

  /**
   * Stops serving until the connection says that everything was taken over. Then exits, and leaves
   * everything as it is.
   */
  #handOver(heir: Socket): HandoverReply {
    if (this.#heir) throw new SyscallError(E.EBUSY, 'handover', 'another daemon is taking over already');
    this.#heir = heir;
    this.#listeners.pause();
    heir.once('close', () => {
      if (this.#isStopped) return;
      this.#heir = undefined;
      this.#listeners.goOn();
    });
    return this.#supervisor.estate();
  }

  #release(heir: Socket): ReleaseReply {
    if (heir !== this.#heir) throw new SyscallError(E.EINVAL, 'release', 'nothing was handed over on this connection');
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#services.lifecycle.close();
    this.#services.paths.close();
    // After the reply.
    setImmediate(() => this.#options.onReplaced());
    return { released: true };
  }

  /** For the metrics. @param programs how many of them have series of their own */
  measure(programs: number): Measured {
    const namespaces = this.#mirror.model.all();
    return {
      statistics: this.#services.statistics,
      namespaces: namespaces.length,
      lostContainers: this.#services.lost.all().length,
      objects: () =>
        namespaces.slice(1).flatMap(({ id, path, owned }) => {
          const containers = readLabels(id);
          return kinds.map((kind) => ({ kind, id, namespace: path, containers, count: owned[kind].size }));
        }),
      recorder: this.#recorder.status(),
      usage: () => this.#accountant.usage(programs),
      budgets: () => budgetsOf(this.#services),
    };
  }

  get #hasNamespaces(): boolean {
    return this.#mirror.model.count > 1;
  }

  async #handle(request: Request, peer: Peer, socket: Socket): Promise<object> {
    if (isReading(request)) return this.#readers.handle(request, peer, socket);
    if (request.op === 'handover') return this.#handOver(socket);
    if (request.op === 'release') return this.#release(socket);
    return handleRequest(request, peer, this.#services, this.#listeners);
  }

  /** In turns of the event loop, with calls and commands between them. */
  #catchUp(): void {
    this.#mirror.update(BETWEEN_CALLS);
    if (!this.#mirror.sweeper.isBehind || this.#isCatchingUp || this.#isStopped) return;
    this.#isCatchingUp = true;
    setImmediate(() => {
      this.#isCatchingUp = false;
      if (!this.#isStopped) this.#catchUp();
    });
  }

  #tick(): void {
    this.#services.fds.check();
    this.#catchUp();
    this.#mirror.checkOverflow();
    this.#recorder.recordLate();
    const missed = this.#recorder.newMisses();
    if (missed) this.#services.events.emit({ event: 'hooks-missed', ...missed });
    // In a flood it does nothing else anyway.
    if (!this.#mirror.sweeper.isBehind) this.#mirror.sweeper.sweep(SWEEP);
    this.#services.lifecycle.collectSome();
    // Connections that arrived while the loop was busy are accepted before that, in this turn of
    // the event loop.
    setImmediate(() => this.#leaveIfIdle());
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#tick(), this.#nextTick());
  }

  /** Twice as long each time, as long as no call and no object comes. */
  #nextTick(): number {
    const activity = this.#services.watchdog.count + this.#mirror.recorded;
    // An agent that may leave looks at once whether it can.
    const isStaying = this.#hasNamespaces || this.#options.lingerMs === Number.POSITIVE_INFINITY;
    const isQuiet = isStaying && activity === this.#lastActivity;
    this.#lastActivity = activity;
    this.#pause = isQuiet ? Math.min(this.#pause * 2, LONGEST_TICK) : TICK;
    return this.#pause;
  }

  #leaveIfIdle(): void {
    if (this.#hasNamespaces || this.#control.connections > 0) this.#idleSince = Date.now();
    else if (Date.now() - this.#idleSince >= this.#options.lingerMs) this.stop();
  }
}
