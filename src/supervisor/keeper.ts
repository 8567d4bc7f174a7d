/**
 * `bpfns keeper`: keeps listeners and journal where no systemd does, as in Kubernetes, where all processes of a
 * daemon's pod end with it. Its protocol is small, and stays as it is: to keep an fd, what systemd's fd store takes
 * (the datagrams of sd_pid_notify_with_fds(3)); to get everything back, one line of JSON.
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

/** More would be no node's: each is an fd. */
const MAX_KEPT = 65536;
/** Keeps until it is told to end. @throws AgentError if another keeper runs; SyscallError */
export async function keeperMain(log: (line: string) => void): Promise<void> {
  if (await keeperAnswers()) throw new AgentError('EBUSY', 'another keeper is running');
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const kept = new Map<string, number>();
  // From here on nothing that a daemon gets is missed; what it had before it is asked for.
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

/** One datagram: FDSTORE=1 with an fd, or FDSTOREREMOVE=1, and FDNAME=; all else is not for a keeper. */
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

/** A daemon that runs already says what it has; its calls wait for as long as we take it. */
async function takeFromDaemon(log: (line: string) => void): Promise<StoredFd[]> {
  const client = await AgentClient.connect();
  if (!client) return [];
  try {
    return storedOf(takeOver(await client.ask<HandoverReply>({ op: 'handover' })));
  } catch (error) {
    // Another daemon is taking over just now: that one tells us as it starts.
    log(error instanceof Error ? error.message : String(error));
    return [];
  } finally {
    client.close();
  }
}
