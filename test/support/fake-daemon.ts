/** The daemon's own HTTP server, events and state, over archives that stand as a test of the page wants. */
import type { FormerArchive } from '../../src/audit/former-archives.ts';
import type { Log } from '../../src/base/log.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { type ArchiveConfig, type Config, configSchema } from '../../src/config/schema.ts';
import type { Actions } from '../../src/daemon/actions.ts';
import { EventStream } from '../../src/daemon/http/events.ts';
import { loadPageFiles } from '../../src/daemon/http/page-files.ts';
import type { Backend } from '../../src/daemon/http/routes.ts';
import { type Listener, openHttp } from '../../src/daemon/http/server.ts';
import type { RefusedConfig } from '../../src/daemon/generations.ts';
import type { HistoryProblem } from '../../src/daemon/history/history.ts';
import type { RunEnding } from '../../src/daemon/run-ending.ts';
import type { FailingEntry } from '../../src/daemon/tables.ts';
import { Slots } from '../../src/daemon/slots/slots.ts';
import type { Sample } from '../../src/daemon/view/live.ts';
import { describeArchive } from '../../src/daemon/view/archive-detail.ts';
import type { WindowsDetail } from '../../src/daemon/view/calendars.ts';
import type { RunDetail } from '../../src/daemon/view/run-detail.ts';
import { buildState, type State, type StateParts } from '../../src/daemon/view/state.ts';
import { type FakeArchive, sampleMemory } from './page-facts.ts';

export const TOKEN = 'a-token-of-the-fake-daemon';

const MIB = 1024 ** 2;
const log = { error: () => undefined } as unknown as Log;
const page = loadPageFiles();

/** What a test may say of it. */
export interface DaemonFacts {
  archives: FakeArchive[];
  /** Rows of the history, the latest first. */
  runs: RunEnding[];
  /** What is known of each run that is asked for. */
  detail: RunDetail;
  /** Whether it takes orders, by TOKEN. */
  canAct: boolean;
  /** All windows of each archive that has some; the answer has those of the period. */
  windows: readonly WindowsDetail[];
  host: string;
  samples: readonly Sample[];
  /** What lies there and is not in its config. */
  former: readonly FormerArchive[];
  failingEntries: readonly FailingEntry[];
  refusedConfig: RefusedConfig | undefined;
  historyProblem: HistoryProblem | undefined;
  /** Has it say what no daemon of ours would. */
  lie: (state: State) => State;
  /** While true, it answers each question with an error. */
  broken: boolean;
}

export class FakeDaemon {
  /** Orders that it took. */
  readonly orders: string[] = [];
  facts: Partial<DaemonFacts>;
  #events = this.#openEvents();
  #listener: Listener | undefined;

  constructor(facts: Partial<DaemonFacts>) {
    this.facts = facts;
  }

  /** Resolves to its address. */
  async start(): Promise<string> {
    this.#listener = await openHttp('127.0.0.1:0', this.#backend(), () => this.#config.http, log);
    return `${this.#listener.address}/`;
  }

  async stop(): Promise<void> {
    this.#events.close();
    await this.#listener?.close();
  }

  /** Has other facts from now on, and says so to all that listen. */
  say(facts: Partial<DaemonFacts>): void {
    this.facts = { ...this.facts, ...facts };
    this.#events.publish();
  }

  /** Ends the event streams, as a restart does. */
  hangUp(): void {
    this.#events.close();
    this.#events = this.#openEvents();
  }

  #openEvents(): EventStream {
    return new EventStream(() => this.state());
  }

  /** As the daemon itself makes it, but for what is so of this process alone. */
  state(): State {
    if (this.facts.broken === true) throw new Error('broken by the test');
    const state = buildState(this.#parts());
    const memory = { ...state.memory, rssBytes: 173 * MIB };
    const told = { ...state, version: '0.1.0', host: this.facts.host ?? 'db-archive-01', pid: 4711, memory };
    return this.facts.lie?.(told) ?? told;
  }

  get #config(): Config {
    const windows = new Map((this.facts.windows ?? []).map((detail) => [detail.archive, detail]));
    return configOf(this.facts.archives ?? [], windows, this.facts.canAct === true ? TOKEN : undefined);
  }

  /** What its state and its metrics are made of. */
  get parts(): StateParts {
    return this.#parts();
  }

  #parts(): StateParts {
    const archives = new Map((this.facts.archives ?? []).map((archive) => [archive.name, archive]));
    const entries = [...archives.values()].flatMap(({ current }) => current ?? []);
    return {
      generation: {
        config: this.#config,
        place: { load: entries.length === 0 ? { active: 0, waiting: 0 } : { active: 2, waiting: 3 } },
      },
      board: {
        entries,
        entryOf: (name) => archives.get(name)?.current,
        waitingOf: () => [],
        purgeOf: () => undefined,
      },
      purges: { of: (name) => archives.get(name)?.purges },
      audits: { of: (name) => archives.get(name)?.proofs, currentOf: () => undefined },
      rehearsals: { of: (name) => archives.get(name)?.rehearsals, currentOf: () => undefined },
      former: { found: this.facts.former ?? [] },
      tables: { failing: [...(this.facts.failingEntries ?? [])] },
      schedule: {
        slotsOf: (name) => slotsOf(archives.get(name)),
        nextSlot: (name) => archives.get(name)?.nextSlot,
      },
      standings: {
        of: (name) => archives.get(name)?.standing,
        oldestDue: (name) => archives.get(name)?.dueSlot,
      },
      due: { nextTryOf: (name) => archives.get(name)?.nextTry },
      live: {
        samples: this.facts.samples ?? sampleMemory(),
        rowsPerSecond: (entry) => (entry.state === 'running' ? 47_211 : 0),
      },
      calendars: { summaryOf: (name) => this.facts.windows?.find(({ archive }) => archive === name) },
      startedAt: new Date(Date.now() - 3 * 86_400_000),
      stopping: false,
      refusedConfig: this.facts.refusedConfig,
      historyProblem: this.facts.historyProblem,
    };
  }

  #backend(): Backend {
    const events = (): EventStream => this.#events;
    return {
      state: () => this.state(),
      get events() {
        return events();
      },
      history: (limit, archive) =>
        (this.facts.runs ?? []).filter((run) => archive === undefined || run.archive === archive).slice(0, limit),
      purges: () => [],
      archive: (name) => describeArchive({ ...this.#parts(), configFile: '/etc/pgsluice/pgsluice.yaml' }, name),
      runDetail: async () => this.facts.detail,
      windows: async (asked) => windowsOf(this.facts.windows ?? [], asked),
      actions: this.#actions(),
      metrics: async () => ({ body: '', type: 'text/plain' }),
      readiness: async () => ({ ready: true, checks: [] }),
      page,
    };
  }

  #actions(): Actions {
    const take = (order: string) => async (archive: string) => {
      this.orders.push(`${order} ${archive}`);
      return { archive };
    };
    return { run: take('run'), cancel: take('cancel'), pause: take('pause'), resume: take('resume') };
  }
}

/** As the daemon does it: the period that is asked for, else the latest one. */
function windowsOf(
  all: readonly WindowsDetail[],
  { archive, period }: { archive: string; period: string | undefined },
): WindowsDetail | undefined {
  const found = all.find((detail) => detail.archive === archive);
  if (found === undefined) return undefined;
  if (found.every === 'month') return { ...found, period: 'all' };
  const chars = found.every === 'hour' ? 7 : 4;
  const shown = period ?? found.windows.at(-1)?.local.slice(0, chars) ?? '';
  return { ...found, period: shown, windows: found.windows.filter(({ local }) => local.startsWith(shown)) };
}

function slotsOf(archive: FakeArchive | undefined): Slots | undefined {
  return archive?.schedule === undefined ? undefined : new Slots(archive.schedule, archive.timezone);
}

/** A config of these archives. Names that a config file may not have are put in afterwards. */
function configOf(
  archives: readonly FakeArchive[],
  windows: ReadonlyMap<string, WindowsDetail>,
  token: string | undefined,
): Config {
  const options = configSchema.parse({
    sources: { default: { url: 'postgres://127.0.0.1/app' } },
    destinations: { default: { url: 'file:///srv/archive' } },
    archives: { template: { table: 'public.template' } },
    http: { listen: '127.0.0.1:0', ...(token === undefined ? {} : { token }) },
  });
  const config = resolveConfig(options, {});
  const template = config.archives['template'];
  if (template === undefined) throw new Error('the config has no template');
  return { ...config, archives: Object.fromEntries(archives.map((archive) => [archive.name, configured(archive)])) };

  function configured({ name, table, schedule, timezone }: FakeArchive): ArchiveConfig {
    const detail = windows.get(name);
    const window = detail && { window: { column: detail.column, every: detail.every, olderThanMs: 0 } };
    return { ...template!, name, table, timezone, ...window, ...(schedule === undefined ? {} : { schedule }) };
  }
}
