/**
 * Decides what is reported to whom: failure, recovery and lateness to webhooks, the start and the end of each run by
 * pings.
 */
import os from 'node:os';
import { countOf, formatBytes, formatDuration } from '../../base/units.ts';
import { TOOL } from '../../base/tool.ts';
import { scrub, scrubText } from '../../base/secrets.ts';
import { visible } from '../../base/visible.ts';
import { archiveNamed } from '../../config/resolve.ts';
import type { ArchiveConfig, Config, NotifyConfig } from '../../config/schema.ts';
import type { Failure } from '../../base/errors.ts';
import type { RehearsalResult } from '../../ledger/rehearsals.ts';
import { describeDifferent, type DifferentRun } from '../different-run.ts';
import { describeResult } from '../rehearsals.ts';
import type { Deliveries } from './deliveries.ts';
import { describeChanged, isPurgeFault, type PurgeEnding } from '../purge-ending.ts';
import type { PurgeStanding } from '../purges.ts';
import type { FailingEntry } from '../tables.ts';
import { isFault, showFailure, type RunEnding, type ShownFailure } from '../run-ending.ts';

/** The body of a webhook with `format: json`. Sizes in bytes, times in ISO 8601. */
export interface Alarm {
  event: 'failure' | 'recovery' | 'late' | 'purge';
  /** Of an entry with `tables`, its name. */
  archive: string;
  /** The run that failed or succeeded, or whose purge is told of; of `late`, the slot that is overdue. Empty of an entry with `tables`. */
  run: string;
  /** One line for a person. */
  text: string;
  at: string;
  host: string;
  tool: { name: string; version: string };
  /** Of a failure, of a run or of a purge, and of `purge`. */
  error: ShownFailure | null;
  /** Of a recovery. */
  rows: number | null;
  bytes: number | null;
  seconds: number | null;
}

/** No run id begins so. */
const REFUSED = 'refused ';

type AlarmFacts = Pick<Alarm, 'event' | 'archive' | 'run' | 'text'> & Partial<Alarm>;

export class Alarms {
  readonly #deliveries: Deliveries;
  readonly #config: () => Config;
  /** What was told of purges, by archive: it is told once as long as it stays so. */
  readonly #told = new Map<string, Map<string, string>>();

  constructor(deliveries: Deliveries, config: () => Config) {
    this.#deliveries = deliveries;
    this.#config = config;
  }

  started(archive: string, run: string): void {
    this.#ping(archive, 'start', `${archive} ${run} starts`);
  }

  /**
   * `wasFailing` says whether the archive's run before this one failed, `isRepeated` whether that was the same run: a
   * run that is tried again and fails again is reported once.
   */
  ended(ending: RunEnding, wasFailing: boolean, isRepeated: boolean): void {
    const { archive, run } = ending;
    const text = describeEnding(ending);
    if (isFault(ending)) {
      this.#ping(archive, 'failure', `${text}\n${ending.error?.hint ?? ''}`);
      if (!isRepeated) this.#notify({ event: 'failure', archive, run, text, error: ending.error });
    } else if (ending.status === 'committed') {
      this.#ping(archive, 'success', text);
      const { rows, bytes, seconds } = ending;
      if (wasFailing)
        this.#notify({ event: 'recovery', archive, run, text: `${text}; the run before failed`, rows, bytes, seconds });
    }
  }

  /** A purge that fails, is refused or finds its archive damaged is told of once; and so are rows that were changed since. */
  purged(ending: PurgeEnding): void {
    const { archive, run, status, reason, problems } = ending;
    // What stands against one run of a table stands against others as well.
    const subject = status === 'refused' ? `${REFUSED}${reason}` : run;
    if (isPurgeFault(ending)) {
      const [error = { code: reason, message: '', hint: '' }] = problems;
      const more = problems.length > 1 ? `, and ${countOf(problems.length - 1, 'further reason')}` : '';
      const words = { refused: 'was refused', different: 'found the archive damaged' } as const;
      const how = status === 'refused' || status === 'different' ? words[status] : 'failed';
      const text = `purge of archive ${archive}, run ${run}, ${how}: ${visible(error.message)} (${error.code})${more}`;
      this.#tellOnce(archive, subject, reason, { event: 'failure', archive, run, text, error });
    } else if (status === 'purged') {
      this.#told.get(archive)?.delete(run);
      const changed = describeChanged(ending);
      if (changed === undefined) return;
      const text = `purge of archive ${archive}, run ${run}: ${changed.message} (${changed.code})`;
      this.#notify({ event: 'purge', archive, run, text, error: changed });
    }
  }

  /** What keeps runs from being purged before anything is tried. Damaged manifests are told of by the runs. */
  held(archive: string, standing: PurgeStanding | undefined): void {
    const { failure, held = [], refused } = standing ?? {};
    const reasons = new Set(Array.from(refused?.values() ?? [], ({ reason }) => `${REFUSED}${reason}`));
    for (const subject of this.#told.get(archive)?.keys() ?? [])
      if (subject.startsWith(REFUSED) && !reasons.has(subject)) this.#told.get(archive)?.delete(subject);
    if (failure === undefined) this.#told.get(archive)?.delete('');
    else {
      const text = `purges of archive ${archive} failed: ${visible(failure.message)} (${failure.code})`;
      this.#tellOnce(archive, '', failure.code, { event: 'failure', archive, run: '', text, error: failure });
    }
    for (const { run, failure: why } of held) {
      if (!TOLD_OF_HELD.has(why.code)) continue;
      const text = `archive ${archive}, run ${run} is not purged: ${visible(why.message)} (${why.code})`;
      this.#tellOnce(archive, run, why.code, { event: 'purge', archive, run, text, error: showFailure(why) });
    }
  }

  /** A run was found to differ from its manifest. */
  different(run: DifferentRun): void {
    const error = showFailure(describeDifferent(run));
    const text = `archive ${run.archive} is damaged: ${visible(error.message)} (${error.code})`;
    this.#notify({ event: 'failure', archive: run.archive, run: run.run, text, error });
  }

  /** It was proved good. */
  good({ archive, run }: Pick<DifferentRun, 'archive' | 'run'>): void {
    const text = `archive ${archive}, run ${run}: it was read again, and is what its manifest says`;
    this.#notify({ event: 'recovery', archive, run, text });
  }

  /** A run that was restored by way of trial did not come back. */
  notComeBack(archive: string, result: RehearsalResult): void {
    const error = showFailure(describeResult(archive, result));
    const text = `archive ${archive} cannot be restored: ${visible(error.message)} (${error.code})`;
    this.#notify({ event: 'failure', archive, run: result.run, text, error });
  }

  /** It did, by a later rehearsal. */
  cameBack(archive: string, { run }: RehearsalResult): void {
    const text = `archive ${archive}, run ${run}: its restore was rehearsed again, and it came back as it was archived`;
    this.#notify({ event: 'recovery', archive, run, text });
  }

  /** Nothing could be rehearsed. */
  notRehearsed(failure: Failure, archive: string, run: string): void {
    const text = `no restore could be rehearsed, when it was the turn of archive ${archive}, run ${run}: ${visible(failure.message)} (${failure.code})`;
    this.#notify({ event: 'failure', archive, run, text, error: showFailure(failure) });
  }

  /** Something could be. */
  rehearsedAgain(archive: string, run: string): void {
    const text = `restores are rehearsed again: archive ${archive}, run ${run}`;
    this.#notify({ event: 'recovery', archive, run, text });
  }

  /** An entry with `tables` began to fail: which archives there are to be is not known. */
  tablesFailing({ name, tables, failures: [error], count }: FailingEntry): void {
    if (error === undefined) return;
    const more = count > 1 ? `, and ${countOf(count - 1, 'further problem')}` : '';
    const text = `entry ${name} (tables: ${visible(tables.join(', '))}) failed: ${visible(error.message)} (${error.code})${more}`;
    this.#notify({ event: 'failure', archive: name, run: '', text, error });
  }

  /** That is over. */
  tablesWell(name: string, isGone: boolean): void {
    const text = isGone
      ? `entry ${name} with tables is not in the config any more; it was failing`
      : `entry ${name}: its source says again which tables there are, and each is an archive`;
    this.#notify({ event: 'recovery', archive: name, run: '', text });
  }

  #tellOnce(archive: string, subject: string, code: string, facts: AlarmFacts): void {
    const told = this.#told.get(archive) ?? new Map<string, string>();
    this.#told.set(archive, told);
    if (told.get(subject) === code) return;
    told.set(subject, code);
    this.#notify(facts);
  }

  /** Once for each time that an archive becomes late. */
  late(archive: string, slot: Date, run: string): void {
    const text = `archive ${archive} is late: its slot of ${slot.toISOString()} is not archived`;
    this.#notify({ event: 'late', archive, run, text });
  }

  #ping(name: string, when: keyof NonNullable<ArchiveConfig['ping']>, body: string): void {
    const url = archiveNamed(this.#config(), name)?.ping?.[when];
    if (url === undefined) return;
    const contentType = 'text/plain; charset=utf-8';
    this.#deliveries.send({
      kind: 'ping',
      name: `archives.${name}.ping, ${when}`,
      lane: `ping ${name}`,
      url,
      contentType,
      body: scrub(body),
    });
  }

  #notify(facts: AlarmFacts): void {
    const alarm: Alarm = {
      at: new Date().toISOString(),
      host: os.hostname(),
      tool: TOOL,
      error: null,
      rows: null,
      bytes: null,
      seconds: null,
      ...facts,
    };
    for (const [index, webhook] of this.#config().notify.entries()) {
      if (!webhook.on.includes(alarm.event)) continue;
      const body = JSON.stringify(bodyOf(alarm, webhook), scrubText);
      const { url } = webhook;
      this.#deliveries.send({
        kind: 'notify',
        name: `notify[${index}], ${alarm.event}`,
        lane: `notify ${index}`,
        url,
        contentType: 'application/json',
        body,
      });
    }
  }
}

const TOLD_OF_HELD: ReadonlySet<string> = new Set([
  'purge-came-back',
  'bad-purge-record',
  'newer-journal',
  'untrusted',
]);

const SIGNS: Record<Alarm['event'], string> = {
  failure: ':rotating_light:',
  recovery: ':white_check_mark:',
  late: ':hourglass:',
  purge: ':warning:',
};

function bodyOf(alarm: Alarm, { format }: NotifyConfig): unknown {
  if (format === 'json') return alarm;
  const hint = alarm.error === null ? '' : `\n${alarm.error.hint}`;
  return { text: escapeForSlack(`${SIGNS[alarm.event]} ${alarm.host}: ${alarm.text}${hint}`) };
}

/** As Slack asks for it; nothing else has a meaning inside of its texts. */
function escapeForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** One line, whatever the server said: chats and mails show it as it comes. */
function describeEnding({ archive, run, status, error, rows, bytes, seconds }: RunEnding): string {
  if (status === 'committed') {
    const figures = [countOf(rows, 'row'), formatBytes(bytes), formatDuration(seconds * 1000)];
    return `archive ${archive} is archived, run ${run}: ${figures.join(', ')}`;
  }
  return `archive ${archive} failed, run ${run}: ${visible(error?.message ?? '')} (${error?.code ?? ''})`;
}
