/** A server that takes webhooks and pings, and tells a test what it was told. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Call {
  path: string;
  body: string;
}

export class Receiver {
  readonly calls: Call[] = [];
  readonly #server = http.createServer((request, response) => {
    void text(request).then((body) => {
      this.calls.push({ path: request.url ?? '', body });
      response.end();
    });
  });

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  events(): { event: string; archive: string; run: string; error: { code: string } | null }[] {
    return this.calls.filter(({ path }) => path === '/hooks/json').map(({ body }) => JSON.parse(body) as never);
  }

  paths(start: string): string[] {
    return this.calls.map(({ path }) => path).filter((path) => path.startsWith(start));
  }
}
