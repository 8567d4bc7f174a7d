/**
 * `bpfns keeper`: keeps listeners and journal where systemd does not, as in Kubernetes, where all
 * processes of a daemon's pod end together. Its protocol is small and does not change: an fd is
 * stored as in systemd's fd store (datagrams of sd_pid_notify_with_fds(3)), and one line of JSON
 * gives everything back.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { paths, runDir } from '../config/paths.js';
import { AgentClient, AgentError } from '../control/client.js';
import type { HandoverReply } from '../control/protocol.js';
import { close } from '../sys/libc.js';
import type { StoredFd } from '../sys/notify.js';
import { peerCredentials } from '../sys/socket.js';
import { FdReceiver, type Received } from '../sys/unix-listener.js';
import { takeOver } from './estate.js';
import { storedOf } from './fd-store.js';
import { type Kept, keeperAnswers } from './keeper-client.js';
import { removeRunDir } from './lock.js';

/** The most fds. No node has more. */
const MAX_KEPT = 65536;
/** Keeps fds until it is stopped. @throws AgentError if another keeper runs; SyscallError */
export async function keeperMain(log: (line: string) => void): Promise<void> {
  if (await keeperAnswers()) throw new AgentError('EBUSY', 'another keeper is running');
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const kept = new Map<string, number>();
  // From here on it gets everything new that a daemon gets. What the daemon had before is
  // requested.
  const receiver = new FdReceiver(paths.keeper, (message) => keep(kept, message));
  for (const { name, fd } of await takeFromDaemon(log)) put(kept, name, fd);
  const server = createServer((socket) => tell(socket, kept));
  rmSync(paths.keeperFds, { force: true });
  server.listen(paths.keeperFds, () => log(`keeping ${kept.size} fds`));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      receiver.close();
      server.close();
      rmSync(paths.keeperFds, { force: true });
      removeRunDir();
      process.exit(0);
    });
  }
}

/** Handles one datagram: FDSTORE=1 with an fd, or FDSTOREREMOVE=1, and FDNAME=. Others are not for a keeper. */
function keep(kept: Map<string, number>, { bytes, fds }: Received): void {
  const lines = bytes.toString('latin1').split('\n');
  const name = lines.find((line) => line.startsWith('FDNAME='))?.slice('FDNAME='.length);
  const [fd, ...others] = lines.includes('FDSTORE=1') && name !== undefined ? fds : [undefined, ...fds];
  for (const each of others) if (each !== undefined) close(each);
  if (name === undefined) return;
  if (fd !== undefined) put(kept, name, fd);
  else if (lines.includes('FDSTOREREMOVE=1')) remove(kept, name);
}

function put(kept: Map<string, number>, name: string, fd: number): void {
  remove(kept, name);
  if (kept.size < MAX_KEPT) kept.set(name, fd);
  else close(fd);
}

function remove(kept: Map<string, number>, name: string): void {
  const fd = kept.get(name);
  if (fd !== undefined) close(fd);
  kept.delete(name);
}

function tell(socket: Socket, kept: ReadonlyMap<string, number>): void {
  socket.on('error', () => undefined);
  if (peerCredentials(socket)?.uid !== 0) {
    socket.destroy();
    return;
  }
  const answer: Kept = { version: 1, fds: [...kept].map(([name, fd]) => ({ name, fd })) };
  socket.write(`${JSON.stringify(answer)}\n`);
}

/** Asks a running daemon for what it has. Its calls wait during that. */
async function takeFromDaemon(log: (line: string) => void): Promise<StoredFd[]> {
  const client = await AgentClient.connect();
  if (!client) return [];
  try {
    return storedOf(takeOver(await client.ask<HandoverReply>({ op: 'handover' })));
  } catch (error) {
    // Another daemon is taking over at this moment. It stores its fds here when it starts.
    log(error instanceof Error ? error.message : String(error));
    return [];
  } finally {
    client.close();
  }
}
