/** A connection of its own to the database that is worked on, to ask it how it is: opened when it is needed, and again when it broke. */
import type { FailureError } from '../base/errors.ts';
import { untilAborted } from '../base/signals.ts';
import { withinAnswerTime } from '../postgres/answer-time.ts';
import { connectPostgres, endConnection, type Client, type ConnectionTarget } from '../postgres/connect.ts';
import { postgresFailure, sqlStateOf } from '../postgres/errors.ts';

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
    try {
      if (known !== undefined) return await withinAnswerTime(known, () => question(known));
    } catch (error) {
      // What the server says is an answer; else the connection broke, or fell silent.
      if (sqlStateOf(error) !== '') throw asFailure(error);
      await this.close();
    }
    const client = await this.#open();
    try {
      return await withinAnswerTime(client, () => question(client));
    } catch (error) {
      throw asFailure(error);
    }
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

function asFailure(error: unknown): FailureError {
  return postgresFailure(error, 'connect', 'asking the source whether work may go on');
}
