/** Bad nights: how a daemon stands in each, in its own types, and what its page and `status` must say of it. */
import type { FailureCode } from '../../src/base/failures.ts';
import { fail } from '../../src/base/errors.ts';
import type { PurgeStanding } from '../../src/daemon/purges.ts';
import { showFailure } from '../../src/daemon/run-ending.ts';
import type { LastFailure } from '../../src/daemon/slots/standings.ts';
import { formatRunId } from '../../src/ledger/run-id.ts';
import type { DaemonFacts } from './fake-daemon.ts';
import { archiveOf, at, type FakeArchive, historyOf, purgeEnding, runningRun, success } from './page-facts.ts';

export interface BadNight {
  name: string;
  facts: Partial<DaemonFacts>;
  /** What stands first on the page, on a phone as well. */
  page: readonly RegExp[];
  /** What the list of archives says of it. */
  row: readonly RegExp[];
  status: readonly RegExp[];
  exit: 0 | 1;
}

const MINUTE = 60;
const HOUR = 3600;
const NAME = 'page_views';
const SLOT = at(-40 * MINUTE);
const RUN = formatRunId(SLOT);

/** All of them, each with the same archives that are well beside it. */
export function badNights(): BadNight[] {
  return [
    failingNight(
      'source down',
      'connection-refused',
      'connecting to db1:5432/app: connect ECONNREFUSED 10.2.0.7:5432',
      {
        count: 6,
        retryInSeconds: 24 * MINUTE,
      },
    ),
    failingNight('bucket gone', 'bucket-missing', 'the bucket acme-archive does not exist (NoSuchBucket)', {
      count: 2,
    }),
    failingNight('disk full', 'disk-full', '/srv/archive: no space left on device (ENOSPC)', { count: 1 }),
    failingNight('lock held', 'lock-not-available', 'public.page_views: canceling statement due to lock timeout', {
      count: 3,
      retryInSeconds: 2 * MINUTE,
    }),
    lateNight(),
    pausedNight(),
    failingNight('out of heap', 'worker-out-of-memory', 'a worker ran out of its heap of 64 MiB in segment 3', {
      count: 2,
    }),
    badReload(),
    tablesFailing(),
    standbyNight(),
    purgeRefused(),
  ];
}

interface Failing {
  /** In a row, one an hour. */
  count: number;
  retryInSeconds?: number;
}

function failingNight(name: string, code: FailureCode, message: string, { count, retryInSeconds }: Failing): BadNight {
  const lastFailure = failureOf(code, message);
  const failures = { count, since: at(-(count - 1) * HOUR - 38 * MINUTE).toISOString() };
  const standing = { health: 'failing' as const, lastFailure, failures, lastSuccess: success(25 * HOUR) };
  const nextTry = retryInSeconds === undefined ? undefined : { run: RUN, at: at(retryInSeconds) };
  const often = count > 1 ? `, ${count} times in a row` : '';
  return {
    name,
    facts: factsOf(archiveOf(NAME, standing, { nextTry })),
    page: [/^1 failing\s+of 5 archives/, new RegExp(`since .*${often}, next try in `), new RegExp(code)],
    row: [/^page_views/, /Failing/, new RegExp(RUN), new RegExp(escaped(lastFailure.message)), /docs\/errors\.md#/],
    status: [
      /^1 failing of 5 archives\n/,
      new RegExp(`^page_views +failing `, 'm'),
      new RegExp(`^page_views ${RUN}: failed \\(${code}\\) at `, 'm'),
      ...(count > 1 ? [new RegExp(`^ {2}since .*, ${count} failures in a row$`, 'm')] : []),
      /^ {2}hint {3}\S/m,
      retryInSeconds === undefined ? /^ {2}next {3}its next slot, /m : /^ {2}next {3}tried again /m,
    ],
    exit: 1,
  };
}

function lateNight(): BadNight {
  const archive = archiveOf(NAME, { schedule: 'late', lastSuccess: success(25 * HOUR) }, { dueSlot: SLOT });
  return {
    name: 'late',
    facts: factsOf(archive),
    page: [/^1 late\s+of 5 archives/, /page_views\s+not archived, due /],
    row: [/^page_views/, /Late/, /one is due since/],
    status: [/^1 late of 5 archives\n/, /^page_views is late: what was due at .* is not archived$/m],
    exit: 1,
  };
}

function pausedNight(): BadNight {
  return {
    name: 'paused',
    facts: factsOf(archiveOf(NAME, { schedule: 'paused', lastSuccess: success(49 * HOUR) })),
    page: [/^1 paused\s+of 5 archives · none is failing or late/],
    row: [/^page_views/, /Paused/, /paused/],
    status: [/^1 paused of 5 archives\n/, /^page_views +paused .* paused on this host /m],
    exit: 0,
  };
}

function standbyNight(): BadNight {
  const current = { ...runningRun(NAME), state: 'standby', progress: undefined, holder: 'db-archive-02' } as const;
  return {
    name: 'standby',
    facts: factsOf(archiveOf(NAME, {}, { current })),
    page: [/^All is well\s+5 archives · 1 on standby/],
    row: [/^page_views/, /Standby\s+on db-archive-02/],
    status: [/^1 on standby of 5 archives\n/, /^page_views +standby .* is in progress on db-archive-02$/m],
    exit: 0,
  };
}

function tablesFailing(): BadNight {
  const message = 'tables: public.event_* finds no table';
  const { failure } = fail('no-such-tables', { stage: 'plan', message });
  const entry = {
    name: 'events',
    source: 'default',
    tables: ['public.event_*'],
    since: at(-12 * MINUTE).toISOString(),
  };
  return {
    name: 'no tables',
    facts: {
      ...factsOf(archiveOf(NAME)),
      failingEntries: [{ ...entry, failures: [showFailure(failure)], count: 3 }],
    },
    page: [
      /^1 table pattern failing\s+5 archives/,
      /events, since .*: tables: public\.event_\* finds no table \(no-such-tables\), and 2 further problems/,
    ],
    row: [/^page_views/, /OK/],
    status: [
      /^1 table pattern failing; 5 archives\n/,
      /^entry events \(tables: public\.event_\*\): failed \(no-such-tables\)$/m,
      /^ {2}and 2 further problems$/m,
      /^ {2}since {2}.*; archives that are known go on$/m,
    ],
    exit: 1,
  };
}

function badReload(): BadNight {
  const problems = [
    '/etc/pgsluice/pgsluice.yaml:14:5: unknown key; did you mean "schedule"?',
    '/etc/pgsluice/pgsluice.yaml:21:12: must be at least 1',
  ];
  return {
    name: 'bad reload',
    facts: { ...factsOf(archiveOf(NAME)), refusedConfig: { at: at(-12 * MINUTE), problems } },
    page: [
      /^Config file refused\s+5 archives/,
      /the one before it stays in force/,
      /pgsluice\.yaml:14:5: unknown key/,
      /Mend it/,
    ],
    row: [/^page_views/, /OK/],
    status: [
      /^all is well: 5 archives; the config file is refused\n/,
      /^the config file was refused at .*; the one before it stays in force$/m,
      /^ {2}\/etc\/pgsluice\/pgsluice\.yaml:21:12: must be at least 1$/m,
    ],
    exit: 0,
  };
}

function purgeRefused(): BadNight {
  const problem = showFailure(
    fail('purge-triggers', { stage: 'purge', message: 'trigger audit_row of public.page_views fires on each delete' })
      .failure,
  );
  const run = '20260821T000000Z';
  const ended = purgeEnding({ archive: NAME, run, status: 'refused', reason: problem.code, problems: [problem] });
  const purges: PurgeStanding = {
    due: [{ run, rows: 466_000, dueMs: at(-5 * HOUR).getTime(), isBegun: false }],
    ...{ held: [], last: ended, lastPurged: undefined, failure: undefined, refused: new Map([[run, ended]]) },
  };
  return {
    name: 'purge refused',
    facts: factsOf(archiveOf(NAME, {}, { purges })),
    page: [/^1 purge held\s+of 5 archives/, /nothing is purged: trigger audit_row of public\.page_views fires/],
    row: [/^page_views/, /Purge held/, /purge-triggers/, /purge\.accept/],
    status: [
      /^1 purge held of 5 archives\n/,
      /^page_views +purge held /m,
      /^purge of page_views$/m,
      /^ {2}20260821T000000Z is not purged \(purge-triggers\)\n {4}trigger audit_row/m,
      /trigger audit_row of public\.page_views fires on each delete/,
      /purge\.accept/,
    ],
    exit: 0,
  };
}

function factsOf(troubled: FakeArchive): Partial<DaemonFacts> {
  const well = ['fetch_queue', 'order_events', 'sessions', 'invoices'].map((name) => archiveOf(name));
  return {
    archives: [...well, troubled],
    runs: historyOf(['fetch_queue', NAME, 'sessions'], 12),
    failingEntries: [],
    refusedConfig: undefined,
    historyProblem: undefined,
  };
}

function failureOf(code: FailureCode, message: string): LastFailure {
  const { failure } = fail(code as Parameters<typeof fail>[0], { stage: 'connect', message });
  return { ...showFailure(failure), run: RUN, at: at(-38 * MINUTE).toISOString() };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
}
