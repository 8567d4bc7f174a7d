/** The client of `bpfns keeper` (keeper.ts). */
import { connect } from 'node:net';
import { paths } from '../config/paths.js';
import { AgentError } from '../control/client.js';
import { peerCredentials } from '../sys/socket.js';
import { getFd, openProcess } from '../sys/task.js';
import { estateOf } from './fd-store.js';
import type { Estate } from './protocol.js';

/** How long a keeper may take to answer, in ms. */
const ANSWER = 3000;

/** The answer of a keeper. The fds are its own; copy them while the connection is open (pidfd_getfd(2)). */
export interface Kept {
  readonly version: 1;
  readonly fds: ReadonlyArray<{ readonly name: string; readonly fd: number }>;
}

/**
 * Copies everything that a keeper has into this process; undefined if there is no keeper. @throws
 * AgentError if it hangs
 */
export function takeKept(): Promise<Estate | undefined> {
  return askKeeper(({ fds }, pid) => {
    using keeper = openProcess(pid).checked('pidfd_open', `cannot find the keeper, process ${pid}`);
    return estateOf(fds.map(({ name, fd }) => ({ name, fd: getFd(keeper, fd).release() })).filter(({ fd }) => fd >= 0));
  });
}

/** Whether a keeper runs and answers. @throws AgentError if it hangs */
export async function keeperAnswers(): Promise<boolean> {
  return (await askKeeper(() => true)) ?? false;
}

/** Connects, and passes the answer to `use` while the connection is open. */
function askKeeper<T>(use: (kept: Kept, pid: number) => T): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(paths.keeperFds);
    let text = '';
    socket.setTimeout(ANSWER, () => {
      socket.destroy();
      reject(new AgentError('ETIMEDOUT', 'the keeper does not answer'));
    });
    socket.setEncoding('utf8');
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(undefined));
    socket.on('data', (part: string) => {
      text += part;
      if (!text.endsWith('\n')) return;
      const pid = peerCredentials(socket)?.pid ?? 0;
      try {
        resolve(use(JSON.parse(text) as Kept, pid));
      } catch (error) {
        reject(error);
      }
      socket.destroy();
    });
  });
}
