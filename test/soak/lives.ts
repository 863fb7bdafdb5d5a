/** The lives of the daemon, one after the other: starts it, kills it, and looks at it while it lives. */
import { DaemonProcess } from './daemon-process.ts';
import type { SlotBook } from './slot-book.ts';
import { compareWithMetrics, type CountedSkips, readSkipCounts, type SaidSkip } from './skips.ts';
import type { SoakSite } from './site.ts';

/** A look at the daemon. Sizes in bytes. */
export interface Sample {
  /** Since the start of its life. */
  ageMs: number;
  rssBytes: number;
  heapBytes: number;
  descriptors: number;
  connections: number;
}

export interface LivesParts {
  /** What is started as the daemon. */
  program: string;
  /** Gets all that the daemons say. */
  logFile: string | undefined;
  site: Pick<SoakSite, 'configFile' | 'environment'>;
  book: SlotBook;
  countConnections: () => Promise<number | undefined>;
}

export interface Life {
  samples: Sample[];
  lastMs: number;
}

/** What its drain may take beside drainTimeout: uploads and last words have a time of their own. */
const STOP_TIMEOUT_MS = 20_000;
/** Rows of the history that are read at once: more than come between two looks. */
export const ROWS_AT_ONCE = 500;
/** Troubles in the log that a soak makes; more kinds than this would be a flood. */
const MOST_TROUBLES = 200;

export class Lives {
  readonly #parts: LivesParts;
  #daemon: DaemonProcess | undefined;
  #counted: CountedSkips | undefined;
  #samples: Sample[] = [];
  #isEndWanted = false;
  /** The one that had the most samples. */
  longest: Life = { samples: [], lastMs: 0 };
  /** When each was ready. */
  readonly startsMs: number[] = [];
  readonly saidSkips: SaidSkip[] = [];
  readonly killsMs: number[] = [];
  readonly troubles = new Map<string, number>();
  readonly problems: string[] = [];

  constructor(parts: LivesParts) {
    this.#parts = parts;
  }

  get daemon(): DaemonProcess {
    if (this.#daemon === undefined) throw new Error('no daemon was started');
    return this.#daemon;
  }

  async start(): Promise<void> {
    const { program, site, logFile } = this.#parts;
    this.#isEndWanted = false;
    this.#counted = undefined;
    this.#samples = [];
    this.#daemon = new DaemonProcess(program, site.configFile, site.environment, logFile);
    await this.#daemon.ready();
    this.startsMs.push(this.#daemon.readyAt);
  }

  /** For an end in the middle. */
  killAtOnce(): void {
    this.#isEndWanted = true;
    this.#daemon?.kill('SIGKILL');
  }

  /** As a crash or the kernel would end it, at any instant. */
  async kill(): Promise<void> {
    await this.look();
    this.#isEndWanted = true;
    this.killsMs.push(Date.now());
    this.daemon.kill('SIGKILL');
    await this.daemon.ended;
    this.#bury();
  }

  /** As systemd would end it. */
  async stop(): Promise<void> {
    await this.look();
    this.#isEndWanted = true;
    const { daemon } = this;
    daemon.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.problems.push(`the daemon had not ended ${STOP_TIMEOUT_MS / 1000} s after SIGTERM`);
      daemon.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    const { code, signal } = await daemon.ended;
    clearTimeout(timer);
    if (code !== 0)
      this.problems.push(`the daemon ended with ${code ?? signal ?? ''} after SIGTERM\n${daemon.lastWords}`);
    this.#bury();
  }

  /** Looks at everything once; begins a new life where one has ended by itself, which is a problem. */
  async look(): Promise<void> {
    const { daemon } = this;
    if (daemon.hasEnded && !this.#isEndWanted) {
      const { code, signal } = await daemon.ended;
      this.problems.push(`the daemon ended by itself, with ${code ?? signal ?? ''}\n${daemon.lastWords}`);
      this.#bury();
      await this.start();
      return;
    }
    try {
      await this.#sample(daemon);
      this.#parts.book.add(await daemon.history(ROWS_AT_ONCE));
    } catch (error) {
      if (!daemon.hasEnded) this.problems.push(`the daemon does not answer: ${String(error)}`);
    }
  }

  async #sample(daemon: DaemonProcess): Promise<void> {
    const fromMs = Date.now();
    const metrics = await daemon.metrics();
    this.#counted = { fromMs, untilMs: Date.now(), counts: readSkipCounts(metrics) };
    const resources = daemon.resources();
    const connections = await this.#parts.countConnections();
    const heapBytes = Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(metrics)?.[1]);
    if (resources === undefined || connections === undefined) return;
    this.#samples.push({ ageMs: Date.now() - daemon.readyAt, ...resources, heapBytes, connections });
  }

  /** What is kept of a life that is over. */
  #bury(): void {
    const { daemon } = this;
    this.saidSkips.push(...daemon.skips);
    if (this.#counted !== undefined)
      for (const difference of compareWithMetrics(daemon.skips, this.#counted))
        this.problems.push(`life ${this.startsMs.length}: ${difference}`);
    for (const [msg, times] of daemon.troubles)
      if (this.troubles.has(msg) || this.troubles.size < MOST_TROUBLES)
        this.troubles.set(msg, (this.troubles.get(msg) ?? 0) + times);
    if (this.#samples.length > this.longest.samples.length)
      this.longest = { samples: this.#samples, lastMs: this.#samples.at(-1)?.ageMs ?? 0 };
  }
}
