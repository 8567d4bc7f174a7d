/**
 * The agent's side of the control sockets, one request a line: root's own, one for those who only
 * look, which a group may be let in to, and one for each user of the configuration.
 */
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { paths, runDir } from '../config/paths.js';
import { parseRequest } from '../control/lines.js';
import { type ErrorReply, isReading, MAX_LINE, type Request } from '../control/protocol.js';
import { Refusal } from '../sys/errno.js';
import { tooManyFiles } from '../sys/fd-reserve.js';
import { refuseFiles } from '../sys/socket.js';
import { Peer } from './peer.js';

/** Connections to the read-only socket at a time, and requests of one that may wait for their answers. */
const MAX_READERS = 64;
const MAX_WAITING = 16;
/** Connections of one user at a time. */
const MAX_OF_USER = 16;

/** Handles one request of a peer. An error that it throws becomes the reply. */
export type OnRequest = (request: Request, peer: Peer, socket: Socket) => Promise<object>;
/** Why a peer that has just connected is not served; undefined if it is. */
export type Admit = (peer: Peer) => string | undefined;

type Refuse = (peer: Peer) => ErrorReply | undefined;

/** A socket of a user. */
export interface Door {
  readonly uid: number;
  readonly path: string;
  readonly onRequest: OnRequest;
}

export class ControlServer {
  readonly #full: Server;
  readonly #readOnly: Server;
  readonly #sockets = new Set<Socket>();
  readonly #readers = new Set<Socket>();
  readonly #doors: ReadonlyArray<{ readonly door: Door; readonly server: Server; readonly sockets: Set<Socket> }>;
  readonly #peers = new Set<Peer>();

  /** @param onIdle called when the last connection has ended */
  constructor(admit: Admit, onRequest: OnRequest, doors: readonly Door[], onIdle: () => void) {
    const track = (socket: Socket, into: Set<Socket>): void => {
      into.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        into.delete(socket);
        if (this.connections === 0) onIdle();
      });
    };
    this.#full = createServer((socket) => {
      track(socket, this.#sockets);
      this.#serve(socket, admit, onRequest, ({ uid }) =>
        uid === 0 ? undefined : errorReply('EACCES', 'only root may use the agent'),
      );
    });
    this.#doors = doors.map((door) => {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        track(socket, sockets);
        this.#serve(socket, admit, door.onRequest, ({ uid }) => {
          if (uid !== door.uid) return errorReply('EACCES', `only uid ${door.uid} may use this socket`);
          return sockets.size > MAX_OF_USER
            ? errorReply('EAGAIN', `${MAX_OF_USER} clients are connected already`)
            : undefined;
        });
      });
      return { door, server, sockets };
    });
    this.#readOnly = createServer((socket) => {
      track(socket, this.#readers);
      this.#serve(socket, admit, readOnly(onRequest), () =>
        this.#readers.size > MAX_READERS
          ? errorReply('EAGAIN', `${MAX_READERS} clients are connected already`)
          : undefined,
      );
    });
  }

  /**
   * Resolves once commands can connect.
   * @param readOnlyGroup the id of the group that may open the read-only socket, besides root
   */
  async listen(readOnlyGroup: number | undefined): Promise<void> {
    await listenAt(this.#full, paths.socket);
    await listenAt(this.#readOnly, paths.readOnlySocket);
    for (const { door, server } of this.#doors) {
      await listenAt(server, door.path);
      chownSync(door.path, door.uid, 0);
    }
    if (readOnlyGroup === undefined) return;
    // Through the directory, but not to list it: all else in there is root's alone.
    chownSync(runDir, 0, readOnlyGroup);
    chmodSync(runDir, 0o710);
    chownSync(paths.readOnlySocket, 0, readOnlyGroup);
    chmodSync(paths.readOnlySocket, 0o660);
  }

  get connections(): number {
    const ofUsers = this.#doors.reduce((sum, { sockets }) => sum + sockets.size, 0);
    return this.#sockets.size + this.#readers.size + ofUsers;
  }

  close(): void {
    for (const server of [this.#full, this.#readOnly, ...this.#doors.map(({ server: each }) => each)]) server.close();
    const ofUsers = this.#doors.flatMap(({ sockets }) => [...sockets]);
    for (const socket of [...this.#sockets, ...this.#readers, ...ofUsers]) socket.destroy();
    // The process may end before the sockets tell that they are closed.
    for (const peer of this.#peers) peer.close();
  }

  #serve(socket: Socket, admit: Admit, onRequest: OnRequest, refuse: Refuse): void {
    const peer = peerOf(socket);
    if (!peer) {
      refuseAll(socket, errorReply('EMFILE', tooManyFiles));
      return;
    }
    this.#peers.add(peer);
    socket.on('close', () => {
      this.#peers.delete(peer);
      peer.close();
    });
    const refused = refuse(peer) ?? refusalOf(peer, admit);
    if (!refused) {
      serve(socket, peer, onRequest);
      return;
    }
    refuseAll(socket, refused);
  }
}

function refuseAll(socket: Socket, reason: ErrorReply): void {
  socket.end(`${JSON.stringify(reason)}\n`);
  socket.resume(); // unread data would keep it from closing
}

/** Undefined if no descriptor is left for it. */
function peerOf(socket: Socket): Peer | undefined {
  try {
    return new Peer(socket);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function listenAt(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      refuseFiles(server);
      chmodSync(path, 0o600);
      resolve();
    });
  });
}

function readOnly(onRequest: OnRequest): OnRequest {
  return async (request, peer, socket) =>
    isReading(request)
      ? onRequest(request, peer, socket)
      : errorReply('EACCES', `'${request.op}' changes something: this socket is for those who look`);
}

function serve(socket: Socket, peer: Peer, onRequest: OnRequest): void {
  let pending = '';
  let waiting = 0;
  let answered = Promise.resolve();
  let isStream = false;
  const done = (reply: object): void => {
    if (isStream) return;
    isStream = 'subscribed' in reply;
    socket.write(`${JSON.stringify(reply)}\n`, () => {
      waiting--;
      // Others have their turn in between: one packet may have thousands of requests.
      if (waiting === 0 || isStream) setImmediate(goOn);
    });
  };
  /** Begins with the next requests, and reads on once there are no more. */
  const goOn = (): void => {
    // Lines go the other way now.
    if (isStream || socket.destroyed) pending = '';
    for (let end = pending.indexOf('\n'); end >= 0 && waiting < MAX_WAITING; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      waiting++;
      // In the order asked.
      answered = answered.then(() => (isStream ? {} : answer(line, peer, socket, onRequest))).then(done);
    }
    if (waiting < MAX_WAITING || isStream) socket.resume();
    else socket.pause();
  };
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    // A stream is still read, as otherwise its end would not be noticed.
    if (isStream) return;
    pending += text;
    if (pending.length > MAX_LINE) socket.destroy();
    goOn();
  });
}

function refusalOf(peer: Peer, admit: Admit): ErrorReply | undefined {
  const reason = admit(peer);
  return reason === undefined ? undefined : errorReply('EPERM', reason);
}

async function answer(line: string, peer: Peer, socket: Socket, onRequest: OnRequest): Promise<object> {
  try {
    return await onRequest(parseRequest(line), peer, socket);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    return errorReply(code, error instanceof Error ? error.message : String(error));
  }
}

function errorReply(code: string, message: string): ErrorReply {
  return { error: { code, message } };
}
