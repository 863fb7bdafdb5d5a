/** What lies in the destinations of archives that are not in the config: looked for at the start, at a reload and with the slots. */
import { findFormerArchives, isFormer, type FormerArchive } from '../audit/former-archives.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';

export interface FormerArchivesParts {
  config: () => Config;
  log: Log;
  /** Ends what is read of destinations. */
  signal: AbortSignal;
  changed: () => void;
  /** For tests. */
  find?: typeof findFormerArchives;
}

/** Slots may come each second: a look is good for so long. */
const FRESH_MS = 3_600_000;
/** No destination may take longer, whatever lies there. */
const LIMIT_MS = 600_000;
const MOST_KEPT = 200;
/** In the log. */
const MOST_NAMED = 10;

export class FormerArchives {
  readonly #parts: FormerArchivesParts;
  readonly #find: typeof findFormerArchives;
  /** Undefined before the first look. */
  #found: readonly FormerArchive[] | undefined;
  #lookedAt: number | undefined;
  #looking: Promise<void> | undefined;
  #isAsked = false;
  /** What was told of a destination, so that it is told once. */
  readonly #told = new Map<string, string>();

  constructor(parts: FormerArchivesParts) {
    this.#parts = parts;
    this.#find = parts.find ?? findFormerArchives;
  }

  /** As of the last look; undefined before the first one. */
  get found(): readonly FormerArchive[] | undefined {
    const config = this.#parts.config();
    return this.#found?.filter((one) => isFormer(config, one));
  }

  /** A slot has come, of whatever. */
  come(): void {
    if (this.#lookedAt !== undefined && performance.now() - this.#lookedAt < FRESH_MS) return;
    void this.look();
  }

  /** Looks anew; once more when a look is under way, as the config may be another one by now. Never rejects. */
  look(): Promise<void> {
    this.#isAsked = true;
    this.#looking ??= this.#lookWhileAsked().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#isAsked && !this.#parts.signal.aborted) {
      this.#isAsked = false;
      this.#lookedAt = performance.now();
      await this.#lookOnce();
    }
  }

  async #lookOnce(): Promise<void> {
    const { config, log, signal, changed } = this.#parts;
    const failed = new Set<string>();
    try {
      const found = await this.#find(config(), {
        signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]),
        onFailure: ({ name }, failure) => {
          failed.add(name);
          this.#tell(name, failure.code, () =>
            log.warn(
              { destination: name, failure },
              'it cannot be looked for archives that were taken out of the config, so that nobody is told of them',
            ),
          );
        },
        onCut: ({ name }, what) => this.#tell(name, what, () => log.warn({ destination: name }, what)),
      });
      const before = this.#found ?? [];
      const isNew = found.filter((one) => !before.some(({ url }) => url === one.url));
      if (isNew.length > 0)
        log.info(
          { count: isNew.length, archives: isNew.slice(0, MOST_NAMED).map(({ url }) => url) },
          'archives that are not in the config have runs there: they get no run, purge or audit by this daemon',
        );
      // Of a destination that does not answer now, what was known before is the best there is.
      const kept = before.filter(({ destination }) => failed.has(destination.name));
      this.#found = [...kept, ...found].slice(0, MOST_KEPT);
    } catch (error) {
      if (!signal.aborted)
        log.warn({ error: String(error) }, 'archives that are not in the config were not looked for');
    }
    changed();
  }

  #tell(destination: string, what: string, tell: () => void): void {
    if (this.#told.get(destination) === what) return;
    this.#told.set(destination, what);
    tell();
  }
}
