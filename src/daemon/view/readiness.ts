/**
 * Whether sources and destinations can be reached: looked at no more often than every few seconds, and for a bounded
 * time.
 */
import { toFailure } from '../../base/errors.ts';
import { destinationOf, sourceOf } from '../../config/resolve.ts';
import type { Config, DestinationConfig, SourceConfig } from '../../config/schema.ts';
import { connectPostgres, endConnection } from '../../postgres/connect.ts';
import { isPooled, POOLER_WARNING } from '../../postgres/settings.ts';
import { openStore } from '../../store/open.ts';

export interface ReadinessCheck {
  /** `sources.NAME` or `destinations.NAME`. */
  subject: string;
  ok: boolean;
  checkedAt: string;
  /** Why not. */
  code?: string;
  message?: string;
}

const FRESH_MS = 10_000;
const TIMEOUT_MS = 5000;

/** No object has this name; a destination that can say so can be read. */
const ABSENT_KEY = '_pgsluice/ready';

export class Readiness {
  #checks: readonly ReadinessCheck[] = [];
  #checkedMs = -Infinity;
  #config: Config | undefined;
  #running: Promise<void> | undefined;
  readonly #signal: AbortSignal;

  /** Destinations are not asked any more once the signal aborts. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** The checks of what the config's archives use; those of the last seconds are not made again. */
  async check(config: Config): Promise<readonly ReadinessCheck[]> {
    const fresh = this.#config === config && performance.now() - this.#checkedMs < FRESH_MS;
    if (!fresh) {
      this.#running ??= this.#look(config).finally(() => {
        this.#running = undefined;
      });
      await this.#running;
    }
    return this.#checks;
  }

  async #look(config: Config): Promise<void> {
    const archives = Object.values(config.archives);
    const sources = new Set(archives.map((archive) => sourceOf(config, archive)));
    const destinations = new Set(archives.map((archive) => destinationOf(config, archive)));
    this.#checks = await Promise.all([
      ...[...sources].map((source) => check(`sources.${source.name}`, lookAtSource(source))),
      ...[...destinations].map((destination) =>
        check(`destinations.${destination.name}`, lookAtDestination(destination, this.#signal)),
      ),
    ]);
    this.#config = config;
    this.#checkedMs = performance.now();
  }
}

/** What `look` resolves to is said beside the good answer. */
async function check(subject: string, look: Promise<string | undefined>): Promise<ReadinessCheck> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`no answer within ${TIMEOUT_MS / 1000} s`));
  }, TIMEOUT_MS);
  try {
    const note = await Promise.race([look, late.promise]);
    const noted = note === undefined ? {} : { message: note };
    return { subject, ok: true, checkedAt: new Date().toISOString(), ...noted };
  } catch (error) {
    const { code, message } = toFailure(error, 'connect');
    const shown = code === 'internal' ? 'timeout' : code;
    return { subject, ok: false, checkedAt: new Date().toISOString(), code: shown, message };
  } finally {
    clearTimeout(timer);
    // It may still fail after the time is over.
    look.catch(() => undefined);
  }
}

async function lookAtSource({ url }: SourceConfig): Promise<string | undefined> {
  const client = await connectPostgres({ url, applicationName: 'pgsluice ready' });
  await endConnection(client);
  return isPooled(client) ? POOLER_WARNING : undefined;
}

async function lookAtDestination(destination: DestinationConfig, signal: AbortSignal): Promise<undefined> {
  const store = openStore(destination, AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), signal]));
  try {
    await store.head(ABSENT_KEY);
  } finally {
    store.close();
  }
}
