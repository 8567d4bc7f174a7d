/** The agent's side of the control socket: root only, one request a line. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { paths } from '../config/paths.js';
import { type ErrorReply, MAX_LINE, parseRequest, type Request } from '../control/protocol.js';
import { Peer } from './peer.js';

/** Handles one request of a peer. An error that it throws becomes the reply. */
export type OnRequest = (request: Request, peer: Peer, socket: Socket) => Promise<object>;
/** Why a peer that has just connected is not served; undefined if it is. */
export type Admit = (peer: Peer) => string | undefined;

export class ControlServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param onIdle called when the last connection has ended */
  constructor(admit: Admit, onRequest: OnRequest, onIdle: () => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (this.#sockets.size === 0) onIdle();
      });
      serve(socket, admit, onRequest);
    });
  }

  /** Resolves once commands can connect. */
  listen(): Promise<void> {
    rmSync(paths.socket, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(paths.socket, () => {
        chmodSync(paths.socket, 0o600);
        resolve();
      });
    });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function serve(socket: Socket, admit: Admit, onRequest: OnRequest): void {
  const peer = new Peer(socket);
  socket.on('close', () => peer.close());
  const refused = peer.uid === 0 ? refusalOf(peer, admit) : errorReply('EACCES', 'only root may use the agent');
  if (refused) {
    socket.end(`${JSON.stringify(refused)}\n`);
    socket.resume(); // unread data would keep it from closing
    return;
  }
  let pending = '';
  let answered = Promise.resolve();
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    pending += text;
    if (pending.length > MAX_LINE) socket.destroy();
    for (let end = pending.indexOf('\n'); end >= 0; end = pending.indexOf('\n')) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      // In the order of the requests.
      answered = answered
        .then(() => answer(line, peer, socket, onRequest))
        .then((reply) => void socket.write(`${JSON.stringify(reply)}\n`));
    }
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
