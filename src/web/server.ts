/** `bpfns web`: serves the page and its data, which it reads from the agent's read-only socket. */
import { createReadStream, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { AgentError, Client, type Kind } from '../control/api.js';
import {
  allowedHosts,
  cookieOf,
  hasCookie,
  isLoopback,
  isToken,
  type Listen,
  refusal,
  securityHeaders,
} from './access.js';

/** The most browsers that follow at a time. */
const MAX_STREAMS = 32;
const MAX_BODY = 4096;
/** The most bytes that are kept for a browser that reads slowly. It is disconnected beyond that. */
const MAX_BACKLOG = 32 * 1024 * 1024;
const MIN_TOKEN = 16;

export interface WebOptions {
  readonly listen: Listen;
  readonly token: string | undefined;
  /** Further names by which the page may be requested. */
  readonly hosts: readonly string[];
  /** The agent's socket. */
  readonly socket: string;
}

/** The error in the options; undefined if there is none. */
export function optionProblem({ listen, token }: WebOptions): string | undefined {
  if (token !== undefined && token.length < MIN_TOKEN) return `the token has fewer than ${MIN_TOKEN} characters`;
  if (token === undefined && !isLoopback(listen)) return `beyond the loopback a token is needed: see --token-file`;
  return undefined;
}

const pageDirectory = new URL('./page/', import.meta.url);
const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/main.js': ['main.js', 'text/javascript; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
};

/** Resolves once it listens. */
export async function serveWeb(options: WebOptions): Promise<Server> {
  const web = new Web(options);
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, maxHeaderSize: 8192 },
    (request, response) => {
      web.answer(request, response).catch((error: unknown) => fail(response, error));
    },
  );
  server.maxConnections = 4 * MAX_STREAMS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.address, resolve);
  });
  return server;
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.end();
    return;
  }
  const { code, message } = error instanceof AgentError ? error : { code: 'EIO', message: 'the server failed' };
  const status = code === 'ENOENT' || code === 'ESRCH' ? 404 : code === 'EAGAIN' ? 503 : 502;
  sendJson(response, status, { error: { code, message } });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { ...securityHeaders, 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(value));
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...securityHeaders, 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

class Web {
  readonly #client: Client;
  readonly #hosts: ReadonlySet<string>;
  readonly #token: string | undefined;
  #streams = 0;

  constructor({ socket, listen, hosts, token }: WebOptions) {
    this.#client = new Client({ socket });
    this.#hosts = allowedHosts(listen, hosts);
    this.#token = token;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused = refusal(request.headers, this.#hosts);
    if (refused !== undefined) {
      sendText(response, 403, refused);
      return;
    }
    const url = new URL(request.url ?? '/', 'http://page');
    if (this.#token !== undefined && !hasCookie(request.headers, this.#token)) {
      if (url.pathname === '/login' && request.method === 'POST') await this.#logIn(request, response, this.#token);
      else if (url.pathname === '/style.css' && request.method === 'GET') sendFile(response, '/style.css');
      else if (url.pathname === '/') sendLogin(response, 200, '');
      else sendText(response, 401, 'the token is missing');
      return;
    }
    if (request.method !== 'GET') {
      sendText(response, 405, 'this page is only to be read');
      return;
    }
    await this.#get(url, response);
  }

  async #get(url: URL, response: ServerResponse): Promise<void> {
    switch (url.pathname) {
      case '/api/samples':
        return this.#stream(response, (signal) => this.#samples(signal));
      case '/api/events':
        return this.#stream(response, (signal) => this.#client.events(signal));
      case '/api/who': {
        const [kind, id] = [url.searchParams.get('kind'), Number(url.searchParams.get('id'))];
        if (!isKind(kind) || !Number.isInteger(id)) return sendText(response, 400, 'kind and id are needed');
        return sendJson(response, 200, await this.#client.who(kind, id));
      }
      case '/api/task':
        return sendJson(response, 200, await this.#client.task(Math.trunc(Number(url.searchParams.get('pid')))));
      default:
        if (Object.hasOwn(files, url.pathname)) sendFile(response, url.pathname);
        else sendText(response, 404, 'there is no such page');
    }
  }

  /** Items as they arrive. Those of one sample stay together. */
  async *#samples(signal: AbortSignal): AsyncGenerator<string, void> {
    let lines: string[] = [];
    for await (const line of this.#client.watchLines({ signal })) {
      lines.push(line);
      if (!line.startsWith('{"item":"end"')) continue;
      yield lines.join('\n');
      lines = [];
    }
  }

  /**
   * Sends server-sent events until the browser disconnects or the agent exits. The browser then
   * reconnects by itself.
   */
  async #stream(response: ServerResponse, open: (signal: AbortSignal) => AsyncGenerator<unknown, void>): Promise<void> {
    if (this.#streams >= MAX_STREAMS) throw new AgentError('EAGAIN', 'too many browsers follow already');
    this.#streams++;
    const stop = new AbortController();
    response.on('close', () => stop.abort());
    try {
      for await (const item of open(stop.signal)) {
        if (!response.headersSent) {
          response.writeHead(200, { ...securityHeaders, 'content-type': 'text/event-stream; charset=utf-8' });
          response.write('retry: 1000\n');
        }
        const text = typeof item === 'string' ? item : JSON.stringify(item);
        response.write(`data: ${text.replaceAll('\n', '\ndata: ')}\n\n`);
        if (response.writableLength > MAX_BACKLOG) stop.abort();
        if (stop.signal.aborted) break;
      }
      if (!response.headersSent) throw new AgentError('ECONNRESET', 'the agent has ended');
      response.end();
    } finally {
      this.#streams--;
    }
  }

  async #logIn(request: IncomingMessage, response: ServerResponse, token: string): Promise<void> {
    let body = '';
    for await (const part of request) {
      body += String(part);
      if (body.length > MAX_BODY) return sendText(response, 413, 'that is too long for a token');
    }
    if (!isToken(new URLSearchParams(body).get('token') ?? '', token)) {
      sendLogin(response, 403, 'That is not the token.');
      return;
    }
    response.writeHead(303, { ...securityHeaders, location: '/', 'set-cookie': cookieOf(token) }).end();
  }
}

function isKind(text: string | null): text is Kind {
  return text === 'map' || text === 'prog' || text === 'link' || text === 'btf';
}

function sendFile(response: ServerResponse, path: string): void {
  const [file = '', type = ''] = files[path] ?? [];
  response.writeHead(200, { ...securityHeaders, 'content-type': type });
  createReadStream(new URL(file, pageDirectory))
    .on('error', () => response.destroy())
    .pipe(response);
}

function sendLogin(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { ...securityHeaders, 'content-type': 'text/html; charset=utf-8' });
  response.end(readFileSync(fileURLToPath(new URL('./login.html', pageDirectory)), 'utf8').replace('MESSAGE', message));
}
