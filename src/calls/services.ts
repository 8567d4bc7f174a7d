/** The services that commands use besides the call itself. */
import type { KernelFacts } from '../kernel/facts.js';
import type { Inspector } from '../recorder/inspector.js';
import type { Lifecycle } from '../recorder/lifecycle.js';
import type { Mirror } from '../recorder/mirror.js';
import type { Journal } from '../supervisor/journal.js';
import type { FdReserve } from '../sys/fd-reserve.js';
import type { Events } from '../telemetry/events.js';
import type { Statistics } from '../telemetry/statistics.js';
import type { Eyes } from './caller.js';
import type { PathResolver } from './commands/pins/path-resolver.js';
import type { ProgramLoader } from './commands/tracing/program-loader.js';
import type { TracefsView } from './commands/tracing/tracefs-view.js';
import type { LostContainers } from './lost-containers.js';
import type { OwnRights } from './own-rights.js';
import type { Turns } from './turns.js';
import type { Watchdog } from './watchdog.js';

/** Called with the error of a handler. The caller gets an error, and the agent continues. */
export type OnFault = (command: string, error: unknown) => void;

export interface Services {
  readonly mirror: Mirror;
  readonly facts: KernelFacts;
  readonly own: OwnRights;
  readonly paths: PathResolver;
  /** For answers that take long to put together. */
  readonly turns: Turns;
  readonly programs: ProgramLoader;
  readonly tracefs: TracefsView;
  readonly inspector: Inspector;
  readonly lifecycle: Lifecycle;
  readonly journal: Journal;
  readonly watchdog: Watchdog;
  readonly events: Events;
  readonly lost: LostContainers;
  readonly statistics: Statistics;
  readonly eyes: Eyes;
  readonly fds: FdReserve;
  readonly onFault: OnFault;
}
