/** Reads a daemon's events and metrics while it runs. */
import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { bpfns, bpfnsPath, until } from './host.js';

export interface Events {
  /** All events so far. */
  seen(): ReadonlyArray<Readonly<Record<string, unknown>>>;
  stop(): void;
}

/** Runs `bpfns events --json`. Events of before it is connected are not reported. */
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

/** The same, once it is connected: what happens from here on is reported. */
export async function eventsFromNow(): Promise<Events> {
  const events = followEvents();
  await until(() => {
    bpfns(['create', 'sign']);
    bpfns(['rm', 'sign']);
    return events.seen().length > 0;
  }, 'no event has come');
  return events;
}

/** The metrics, as Prometheus gets them from a daemon's unix socket. */
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
