/** Sends events to subscribers. Nobody waits for a slow subscriber: it loses events, and is told how many. */
import type { Socket } from 'node:net';
import type { Event } from '../control/events.js';

/** How many bytes are kept for one subscriber. */
const MAX_BACKLOG = 256 * 1024;

interface Subscriber {
  dropped: number;
}

export class Events {
  readonly #subscribers = new Map<Socket, Subscriber>();

  /** Costs almost nothing if nobody listens. */
  emit(event: Event): void {
    if (this.#subscribers.size === 0) return;
    const line = format(event);
    for (const [socket, subscriber] of this.#subscribers) {
      if (subscriber.dropped > 0 || socket.writableLength + line.length > MAX_BACKLOG) subscriber.dropped++;
      else socket.write(line);
    }
  }

  /** Sends all events from now on, until the socket closes. */
  subscribe(socket: Socket): void {
    const subscriber: Subscriber = { dropped: 0 };
    this.#subscribers.set(socket, subscriber);
    socket.on('close', () => this.#subscribers.delete(socket));
    socket.on('drain', () => {
      if (subscriber.dropped === 0) return;
      const count = subscriber.dropped;
      subscriber.dropped = 0;
      socket.write(format({ event: 'dropped', count }));
    });
  }
}

function format(event: Event): string {
  return `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
}
