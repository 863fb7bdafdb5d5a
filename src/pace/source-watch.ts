/** A connection of its own to the database that is worked on, to ask it how it is: opened when it is needed, and again when it broke. */
import { untilAborted } from '../base/signals.ts';
import { connectPostgres, endConnection, type Client, type ConnectionTarget } from '../postgres/connect.ts';

export class SourceWatch {
  readonly #target: ConnectionTarget;
  #client: Client | undefined;
  /** One question at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(target: ConnectionTarget) {
    this.#target = target;
  }

  /** What `question` resolves to; it is asked again on a new connection when the old one broke. Throws FailureError, and the signal's reason. */
  async ask<T>(question: (client: Client) => Promise<T>, signal: AbortSignal): Promise<T> {
    const asked = this.#last.then(() => this.#askNow(question));
    this.#last = asked.catch(() => undefined);
    return untilAborted(asked, signal);
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) await endConnection(client);
  }

  async #askNow<T>(question: (client: Client) => Promise<T>): Promise<T> {
    const known = this.#client;
    if (known !== undefined) {
      try {
        return await question(known);
      } catch (error) {
        if (this.#client === known) throw error;
      }
    }
    const client = await this.#open();
    return question(client);
  }

  async #open(): Promise<Client> {
    const client = await connectPostgres(this.#target);
    this.#client = client;
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    return client;
  }
}
