/**
 * Keeps the two listeners as the config says, also after a reload. An address that cannot be listened on stops no run.
 */
import { errorText } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Config } from '../../config/schema.ts';
import type { Backend } from './routes.ts';
import { openControl, openHttp, type Listener } from './server.ts';

interface Slot {
  wanted: string | undefined;
  listener: Listener | undefined;
}

export class Listeners {
  readonly #backend: Backend;
  readonly #config: () => Config;
  readonly #log: Log;
  readonly #http: Slot = { wanted: undefined, listener: undefined };
  readonly #control: Slot = { wanted: undefined, listener: undefined };
  /** One change after the other. */
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(backend: Backend, config: () => Config, log: Log) {
    this.#backend = backend;
    this.#config = config;
    this.#log = log;
  }

  /** Opens what the config names now, and closes what it no longer names. */
  async apply(): Promise<void> {
    this.#work = this.#work.then(() => (this.#isClosed ? undefined : this.#applyNow()));
    await this.#work;
  }

  /** Waits for what is being opened, too. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work;
    for (const { listener } of [this.#http, this.#control]) await listener?.close();
  }

  async #applyNow(): Promise<void> {
    const { http, control } = this.#config();
    await this.#change(this.#http, http.listen, 'http.listen', (listen) =>
      openHttp(listen, this.#backend, () => this.#config().http, this.#log),
    );
    await this.#change(this.#control, control, 'control', (socket) => openControl(socket, this.#backend, this.#log));
  }

  async #change(
    slot: Slot,
    wanted: string | undefined,
    option: string,
    open: (address: string) => Promise<Listener>,
  ): Promise<void> {
    // What could not be opened before is tried again.
    if (slot.wanted === wanted && (slot.listener !== undefined || wanted === undefined)) return;
    await slot.listener?.close();
    slot.wanted = wanted;
    slot.listener = undefined;
    if (wanted === undefined) return;
    try {
      slot.listener = await open(wanted);
      this.#log.info({ option, address: slot.listener.address }, 'listening');
    } catch (error) {
      const hint = `change the option ${option}, or free the address, and reload`;
      this.#log.error(
        { option, address: wanted, error: errorText(error), hint },
        'cannot listen; runs are not affected',
      );
    }
  }
}
