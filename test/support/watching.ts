/** What a daemon tells while it runs: its events and its metrics. */
import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { bpfnsPath } from './host.js';

export interface Events {
  /** All so far. */
  seen(): ReadonlyArray<Readonly<Record<string, unknown>>>;
  stop(): void;
}

/** `bpfns events --json`: until it listens, nothing is told. */
export function followEvents(): Events {
  const follower = spawn(bpfnsPath, ['events', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  follower.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return {
    seen: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    stop: () => follower.kill(),
  };
}

/** What Prometheus would get from a daemon's unix socket. */
export function getMetrics(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: '/metrics' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
