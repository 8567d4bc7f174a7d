/** The commands' side of the control socket. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { paths } from '../config/paths.js';
import { ownProgram } from './own-program.js';
import { type ErrorReply, formatRequest, MAX_LINE, type Request, type StatusReply } from './protocol.js';

const ATTEMPTS = 50;
const PAUSE = 100;

/** What connecting gives where no agent listens; the last of an agent that left before it took the connection. */
const absences = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET'];

/** Why an agent that would not have the listeners is not started beside the service that has. */
export const serviceIsDown = 'the service that runs the agent is down: start it (systemctl start bpfns)';

/** The agent refused, or cannot be reached. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** What an agent takes from the environment of the command that starts it. */
const settings = /^BPFNS_(RUN_DIR|LINGER_MS|RECORDER|MAX_NAMESPACES|TRACK_FDS)$/;

/** A connection to the agent; closing it is the caller's. */
export class AgentClient {
  readonly #socket: Socket;
  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @returns undefined if no agent is running. */
  static connect(): Promise<AgentClient | undefined> {
    return new Promise((resolve, reject) => {
      const socket = connect(paths.socket);
      socket.once('connect', () => resolve(new AgentClient(socket)));
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (absences.includes(error.code ?? '')) resolve(undefined);
        else reject(new AgentError(error.code ?? 'EIO', `cannot reach the agent at '${paths.socket}': ${error.code}`));
      });
    });
  }

  /** Connects, starting the agent first if there is none. @throws AgentError with the agent's reason */
  static async connectOrStart(): Promise<AgentClient> {
    // One may be leaving or restarting just now: then it takes another round.
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      const client = await AgentClient.connect();
      if (!client && existsSync(paths.service)) continue; // the manager starts it again
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
      this.#socket.once('close', () => reject(new AgentError('ECONNRESET', 'the agent ended before it answered')));
      this.#socket.on('error', () => undefined); // 'close' follows
      this.#socket.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_LINE) this.#socket.destroy();
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

  /** Whether the agent has taken the connection: from then on it stays. One that is leaving may not. */
  async isServed(): Promise<boolean> {
    try {
      await this.ask<StatusReply>({ op: 'status' });
      return true;
    } catch (error) {
      if (error instanceof AgentError && error.code === 'ECONNRESET') return false;
      throw error;
    }
  }

  /** Sends a request whose reply is followed by lines; resolves when they end. @throws AgentError */
  async follow(request: Request, onLine: (line: string) => void): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    // Whatever comes in the same piece as the reply must not be lost.
    let text = '';
    let isAccepted = false;
    let refusal: ErrorReply | undefined;
    this.#socket.setEncoding('utf8').on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (isAccepted) onLine(line);
        else if (line.startsWith('{"error"')) refusal = JSON.parse(line) as ErrorReply;
        isAccepted = true;
      }
    });
    this.#socket.on('error', () => undefined); // 'close' follows
    this.#socket.write(formatRequest(request));
    await ended;
    if (refusal) throw new AgentError(refusal.error.code, refusal.error.message);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/**
 * Starts an agent that belongs to no one: its own session, not a child of ours (which
 * will be somebody else's program in a moment), nothing of our environment but settings.
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
      else reject(new AgentError('EIO', `the agent cannot start: ${line || 'it ended without a word'}`));
    });
  });
}
