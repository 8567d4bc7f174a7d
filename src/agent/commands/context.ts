/** What the handlers work with besides the call itself. */

import type { HolderReader } from '../../recorder/holders.js';
import type { Mirror } from '../../recorder/mirror.js';
import type { Events } from '../events.js';
import type { Journal } from '../journal.js';
import type { Keeper } from '../keeper.js';
import type { KernelFacts } from '../kernel-facts.js';
import type { OwnRights } from '../own-rights.js';
import type { PathResolver } from '../path-resolver.js';
import type { Statistics } from '../statistics.js';
import type { Watchdog } from '../watchdog.js';

export interface Context {
  readonly mirror: Mirror;
  readonly facts: KernelFacts;
  readonly own: OwnRights;
  readonly paths: PathResolver;
  readonly holders: HolderReader;
  readonly keeper: Keeper;
  readonly journal: Journal;
  readonly watchdog: Watchdog;
  readonly events: Events;
  readonly statistics: Statistics;
}
