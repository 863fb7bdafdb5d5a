/** Server-sent events: the state, to everyone who listens, as often as it is published. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { scrubText } from '../../base/secrets.ts';
import { refusal, send, sendHead } from './reply.ts';

const MOST_CLIENTS = 20;
/** A client that has more than this before it does not keep up. */
const MOST_UNSENT_BYTES = 1024 ** 2;
/** Changes that come at once are one event. */
const SHORTEST_PAUSE_MS = 100;
const HEARTBEAT_MS = 15_000;

export class EventStream {
  readonly #build: () => unknown;
  readonly #clients = new Set<ServerResponse>();
  readonly #heartbeat: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;

  /** `build` gives the state; it is asked for only when someone listens. */
  constructor(build: () => unknown) {
    this.#build = build;
    this.#heartbeat = setInterval(() => {
      this.#write(': alive\n\n');
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Answers with events until the client leaves. The first one comes at once. */
  add(request: IncomingMessage, response: ServerResponse): void {
    if (this.#clients.size >= MOST_CLIENTS) {
      const message = `${MOST_CLIENTS} listen already; ask for /api/state instead`;
      send(request, response, refusal(503, 'too-many-listeners', message, { 'Retry-After': '10' }));
      return;
    }
    sendHead(response, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    this.#clients.add(response);
    response.on('close', () => this.#clients.delete(response));
    response.write(`retry: 2000\n\n${this.#event()}`);
  }

  /** Sends the state now. */
  publish(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    if (this.#clients.size > 0) this.#write(this.#event());
  }

  /** Sends the state in a moment, together with what changes until then. */
  publishSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.publish();
    }, SHORTEST_PAUSE_MS);
  }

  close(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#soon);
    for (const client of this.#clients) client.end();
  }

  #event(): string {
    return `event: state\ndata: ${JSON.stringify(this.#build(), scrubText)}\n\n`;
  }

  #write(text: string): void {
    for (const client of this.#clients) {
      if (client.writableLength > MOST_UNSENT_BYTES) client.destroy();
      else client.write(text);
    }
  }
}
