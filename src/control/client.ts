/** The client side of the control socket. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { paths } from '../config/paths.js';
import { formatRequest } from './lines.js';
import { ownProgram } from './own-program.js';
import { type ErrorReply, MAX_LINE, type Request, type StatusReply } from './protocol.js';

const ATTEMPTS = 50;
const PAUSE = 100;

/** Errors of connect() that mean "no agent": ECONNRESET comes from an agent that left before it accepted. */
const absences = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'];

/** The service has the listeners, so an agent started beside it would not have them. */
export const serviceIsDown = 'the service that runs the agent is down: start it (systemctl start bpfns)';

/** The agent refused the request, or cannot be reached. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The variables that an agent takes from the environment of the command that starts it. */
const settings = /^BPFNS_(RUN_DIR|LINGER_MS|RECORDER|MAX_NAMESPACES|MAX_OBJECTS|TRACK_FDS)$/;

/** A connection to the agent. The caller closes it. */
export class AgentClient {
  readonly #socket: Socket;
  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @returns undefined if no agent is running. */
  static connect(path: string = paths.socket): Promise<AgentClient | undefined> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('connect', () => resolve(new AgentClient(socket)));
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (absences.includes(error.code ?? '')) resolve(undefined);
        else reject(new AgentError(error.code ?? 'EIO', `cannot reach the agent at '${path}': ${error.code}`));
      });
    });
  }

  /** Waits for one that crashed or is replaced. @returns undefined if none is there after 5 s */
  static async connectAgain(path: string = paths.socket): Promise<AgentClient | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const client = await AgentClient.connect(path);
      if (client) return client;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    return undefined;
  }

  /** Connects, and starts the agent if none is running. @throws AgentError with the agent's reason */
  static async connectOrStart(): Promise<AgentClient> {
    // An agent may be leaving or restarting at this moment, hence the loop.
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      const client = await AgentClient.connect();
      if (!client && existsSync(paths.service)) continue; // the service manager restarts it
      if (!client) await startAgent();
      else if (await client.isServed()) return client;
    }
    throw new AgentError(
      'EAGAIN',
      existsSync(paths.service) ? serviceIsDown : 'the agent starts but cannot be reached',
    );
  }

  /** Sends one request and waits for its reply. @throws AgentError */
  ask<T>(request: Request): Promise<T> {
    return new Promise((resolve, reject) => {
      let text = '';
      this.#socket.setEncoding('utf8');
      this.#socket.once('close', () => reject(new AgentError('ECONNRESET', 'the agent exited before it answered')));
      this.#socket.on('error', () => undefined); // 'close' follows
      this.#socket.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_LINE) {
          reject(new AgentError('EMSGSIZE', `the agent answered with a line of more than ${MAX_LINE} bytes`));
          this.#socket.destroy();
          return;
        }
        const end = text.indexOf('\n');
        if (end < 0) return;
        this.#socket.removeAllListeners('data');
        const reply = JSON.parse(text.slice(0, end)) as T | ErrorReply;
        if (typeof reply === 'object' && reply !== null && 'error' in reply) {
          reject(new AgentError(reply.error.code, reply.error.message));
        } else {
          resolve(reply as T);
        }
      });
      this.#socket.write(formatRequest(request));
    });
  }

  /** Whether the agent accepted the connection. It then stays; an agent that is leaving may not accept. */
  async isServed(): Promise<boolean> {
    try {
      await this.ask<StatusReply>({ op: 'status' });
      return true;
    } catch (error) {
      if (error instanceof AgentError && error.code === 'ECONNRESET') return false;
      throw error;
    }
  }

  /** Sends a request whose reply is followed by lines: these, until the connection ends. @throws AgentError */
  async *lines(request: Request): AsyncGenerator<string, void> {
    let text = '';
    let isAccepted = false;
    this.#socket.setEncoding('utf8').write(formatRequest(request));
    try {
      for await (const part of this.#socket as AsyncIterable<string>) {
        const lines = (text + part).split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) {
          if (line.startsWith('{"error"')) {
            const { error } = JSON.parse(line) as ErrorReply;
            throw new AgentError(error.code, error.message);
          }
          if (isAccepted) yield line;
          isAccepted = true;
        }
      }
    } catch (error) {
      if (error instanceof AgentError) throw error;
      // Reset by an agent that was killed, or closed by us: it ends all the same.
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/**
 * Starts an agent that is independent of this process: in a session of its own, not as our child
 * (this process is about to become another program), and with nothing of our environment but settings.
 */
function startAgent(): Promise<void> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => key === 'PATH' || settings.test(key)));
  const [program, args] = ownProgram('supervise', '--ready-fd', '3');
  const nothing = openSync('/dev/null', 'r+');
  const shell = spawn('/bin/sh', ['-c', '"$@" 3>&3 &', 'sh', program, ...args], {
    cwd: '/',
    detached: true,
    env,
    stdio: [nothing, nothing, nothing, 'pipe'],
  });
  closeSync(nothing);
  const ready = shell.stdio[3] as Socket;
  return new Promise((resolve, reject) => {
    let text = '';
    ready.setEncoding('utf8');
    ready.on('data', (part: string) => {
      text += part;
    });
    shell.once('error', (error) => reject(new AgentError('EIO', `cannot start the agent: ${error.message}`)));
    ready.once('close', () => {
      const line = text.trim();
      if (line === 'ready') resolve();
      else reject(new AgentError('EIO', `the agent cannot start: ${line || 'it exited without a message'}`));
    });
  });
}
