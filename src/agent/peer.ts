/**
 * The process at the other end of a control connection, as it was when it connected. Its pid may
 * belong to another process later.
 */
import type { Socket } from 'node:net';
import type { Fd } from '../sys/fd.js';
import { type Owner, ownerOfUid } from '../sys/foreign-fd.js';
import { ProcDir } from '../sys/proc-dir.js';
import { peerCredentials, peerPidfd } from '../sys/socket.js';
import { sendSignal } from '../sys/task.js';

export class Peer {
  /** -1 if it is unknown. */
  readonly uid: number;
  /** When it connected; 0 if it is unknown. */
  readonly pid: number;
  readonly pidfd: Fd;
  readonly directory: ProcDir;

  /** Open until {@link close}. */
  constructor(socket: Socket) {
    const credentials = peerCredentials(socket);
    this.uid = credentials?.uid ?? -1;
    this.pidfd = peerPidfd(socket);
    this.pid = credentials?.pid ?? 0;
    this.directory = new ProcDir(this.pid);
    // The pid is not reused before the process is waited for.
    if (!this.pidfd.isOpen || sendSignal(this.pidfd, 0) < 0) this.close();
  }

  /** Whether the process existed when it connected. */
  get isKnown(): boolean {
    return this.pidfd.isOpen && this.directory.isOpen;
  }

  /** Of all files that it has open. */
  get owner(): Owner {
    return ownerOfUid(this.uid);
  }

  close(): void {
    this.pidfd.close();
    this.directory.close();
  }
}
