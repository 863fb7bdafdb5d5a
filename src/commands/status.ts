/** `pgsluice status`: how the daemon and its archives are. */
import { countOf, formatBytes, formatCount, formatDuration, formatLocalTime } from '../base/units.ts';
import { describeOutcomes } from './terminal/outcomes.ts';
import { countArchives, isDamaged, isPurgeHeld } from '../daemon/view/counts.ts';
import type { ShownResult } from '../daemon/view/rehearsal-state.ts';
import type { FailingEntry } from '../daemon/tables.ts';
import type { ArchiveState, State } from '../daemon/view/state.ts';
import type { Pause } from '../pace/pauses.ts';
import { askDaemon, type ControlOptions } from './control.ts';
import { describeFailure } from './terminal/failure.ts';
import { EXIT } from './entry.ts';
import { type Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';
import { reportRefusal, withDaemon } from './order.ts';
import { formatGrid } from './terminal/grid.ts';

/** Exit code 1 where an archive is failing, late or damaged, whatever else it does, or an entry with `tables` fails, and where no daemon answers. */
export async function statusCommand(invocation: Invocation, options: ControlOptions): Promise<number> {
  return withDaemon(invocation, async () => {
    const answer = await askDaemon(invocation, options, 'GET', '/api/state');
    if (answer.status !== 200) return reportRefusal(invocation, answer);
    const state = answer.body as State;
    if (invocation.json) printJson(invocation, state);
    else printLines(invocation, describeState(state));
    const { failing, late, damaged } = countArchives(state.archives);
    return failing + late + damaged + failingEntriesOf(state).length > 0 ? EXIT.failed : EXIT.done;
  });
}

/** An older daemon does not say it. */
function failingEntriesOf({
  failingEntries = [],
}: {
  failingEntries?: State['failingEntries'];
}): State['failingEntries'] {
  return failingEntries;
}

function describeState(state: State): string[] {
  const {
    version,
    host,
    pid,
    startedAt,
    now,
    stopping,
    memory,
    queue,
    hosts,
    archives,
    former,
    refusedConfig,
    historyProblem,
  } = state;
  const failingEntries = failingEntriesOf(state);
  const upMs = Date.parse(now) - Date.parse(startedAt);
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const worstFirst = archives.toSorted((a, b) => urgencyOf(a) - urgencyOf(b));
  return [
    `${describeWhole(archives, failingEntries.length)}${refusedConfig === null ? '' : '; the config file is refused'}`,
    `pgsluice ${version} on ${host}, process ${pid}, up ${formatDuration(upMs)}${stopping ? ', stopping' : ''}; times are those of ${timeZone}`,
    `memory ${formatBytes(memory.rssBytes)} of at most ${formatBytes(memory.rssLimitBytes)}; ` +
      `${queue.active} of ${countOf(queue.threads, 'thread')} busy, ${countOf(queue.waiting, 'segment')} waiting`,
    ...describeRefusedConfig(refusedConfig),
    ...(historyProblem === null ? [] : ['', historyProblem.message, `  hint   ${historyProblem.hint}`]),
    ...failingEntries.flatMap(describeFailingEntry),
    '',
    ...formatGrid(['archive', 'state', 'schedule', 'next', 'last success', 'now'], worstFirst.map(describeArchive)),
    ...worstFirst.flatMap((archive) => describeLastFailure(archive, now)),
    ...archives.flatMap(describeLate),
    ...archives.flatMap(describePause),
    ...archives.flatMap(describeWindows),
    ...describeHosts(hosts),
    ...archives.flatMap(describeProofs),
    ...archives.flatMap(describeRehearsals),
    ...archives.flatMap(describePurges),
    ...describeFormer(former),
  ];
}

/** Nobody is seen before the first run whose segments go to other hosts. */
function describeHosts(hosts: State['hosts'] = []): string[] {
  if (hosts.length === 0) return [];
  const rows = hosts.map(({ host, pid, version, threads, isLive, tasks }) => [
    host,
    String(pid),
    version,
    `${tasks.length} of ${threads}`,
    isLive ? 'live' : 'silent',
    tasks.slice(0, MOST_TASKS).join(', ') + (tasks.length > MOST_TASKS ? ', …' : ''),
  ]);
  return ['', ...formatGrid(['host', 'process', 'version', 'threads busy', 'state', 'segments of this daemon'], rows)];
}

const MOST_TASKS = 4;

/** `1 failing, 2 late, 1 paused of 9 archives`: each counts, whatever it does besides. */
function describeWhole(archives: readonly ArchiveState[], failingEntries: number): string {
  const { failing, late, damaged, purgesHeld, standby, paused } = countArchives(archives);
  const counts: [number, string][] = [
    [failing, 'failing'],
    [late, 'late'],
    [damaged, 'damaged'],
    [purgesHeld, purgesHeld === 1 ? 'purge held' : 'purges held'],
    [standby, 'on standby'],
    [paused, 'paused'],
  ];
  const told = counts.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
  const all = countOf(archives.length, 'archive');
  if (failingEntries > 0)
    return [
      `${countOf(failingEntries, 'table pattern')} failing`,
      told.length === 0 ? all : `${told.join(', ')} of ${all}`,
    ].join('; ');
  return told.length === 0 ? `all is well: ${all}` : `${told.join(', ')} of ${all}`;
}

/** What is wrong comes first, the worst of it before the rest; all others stay in the order of the config. */
function urgencyOf(archive: ArchiveState): number {
  const at = [archive.failing, isDamaged(archive), archive.late, isPurgeHeld(archive), true];
  return at.indexOf(true);
}

function describeRefusedConfig(refused: State['refusedConfig']): string[] {
  if (refused === null) return [];
  return [
    '',
    `the config file was refused at ${localTime(refused.at)}; the one before it stays in force`,
    ...refused.problems.map((problem) => `  ${problem}`),
    '  hint   mend it, ask `pgsluice check`, then `systemctl reload pgsluice`: as it is, no daemon would start with it',
  ];
}

/** What the archives of an entry are is not known, or not of all its tables. */
function describeFailingEntry({ name, tables, since, failures, count }: FailingEntry): string[] {
  const told = failures.flatMap((failure) => describeFailure(failure, `entry ${name} (tables: ${tables.join(', ')})`));
  const rest = count - failures.length;
  return [
    '',
    ...told,
    ...(rest > 0 ? [`  and ${countOf(rest, 'further problem')}`] : []),
    `  since  ${localTime(since)}; archives that are known go on`,
  ];
}

function describeArchive(archive: ArchiveState): string[] {
  const { name, schedule, timezone, nextSlot, nextTry, paused, lastSuccess } = archive;
  return [
    name,
    wordsOf(archive),
    schedule === null ? 'by hand' : `${schedule} ${timezone}`,
    // Another daemon with the same archive goes on with its own schedule.
    paused ? 'paused on this host' : localTime(nextTry?.at ?? nextSlot ?? ''),
    lastSuccess === null ? 'never' : `${formatDuration(lastSuccess.ageSeconds * 1000)} ago`,
    describeCurrent(archive),
  ];
}

/** What is wrong first: `failing, late, running`. */
function wordsOf(archive: ArchiveState): string {
  const { state, failing, late, paused } = archive;
  const flags = [
    failing ? 'failing' : '',
    isDamaged(archive) ? 'damaged' : '',
    late ? 'late' : '',
    isPurgeHeld(archive) ? 'purge held' : '',
    paused ? 'paused' : '',
  ].filter((word) => word !== '');
  const isSaid = flags.length > 0 && (state === 'never' || state === 'ok');
  return [...new Set([...flags, ...(isSaid ? [] : [state])])].join(', ');
}

function describeCurrent({ current }: ArchiveState): string {
  if (current === null) return '';
  const { run, status, holder, takenUpFrom, percent, rows, segmentsDone, segments, etaSeconds, pause, stalled } =
    current;
  if (status === 'waiting') return `${run} waits for its turn`;
  if (status === 'standby') return `${run} is in progress on ${holder ?? 'another host'}`;
  if (pause !== null) return `${run} ${percent}%, paused for ${formatDuration(pause.seconds * 1000)}: ${pause.message}`;
  if (stalled !== null)
    return `${run} ${percent}%, nothing moves for ${formatDuration(stalled.seconds * 1000)}: waits for ${stalled.waitsFor.join('; ')}`;
  const from = takenUpFrom === null ? '' : `, taken up from ${takenUpFrom}`;
  const eta = etaSeconds === null ? '' : `, ${formatDuration(etaSeconds * 1000)} to go`;
  return `${run} ${percent}%, ${countOf(rows, 'row')}, ${segmentsDone}/${countOf(segments, 'segment')}${eta}${from}`;
}

/** `events: 412 windows by day, 410 archived, 1 missing, 1 failed`. */
function describeWindows({ name, windows }: ArchiveState): string[] {
  if (windows === null) return [];
  if (windows.last === null) return [`${name}: windows by ${windows.every}, not looked at yet`];
  const counts = Object.entries(windows.last.counts);
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  const told = counts.map(([state, count]) => `, ${formatCount(count)} ${state}`).join('');
  return [`${name}: ${countOf(all, 'window')} by ${windows.every}${told}`];
}

/** Where somebody has to do something about it. */
function describePause({ name, current }: ArchiveState): string[] {
  const hint = current?.pause?.hint ?? null;
  return hint === null ? [] : ['', `${name} is paused: ${current?.pause?.message ?? ''}`, `  ${hint}`];
}

function describeLate({ name, late, dueSlot }: ArchiveState): string[] {
  if (!late || dueSlot === null) return [];
  return ['', `${name} is late: what was due at ${localTime(dueSlot)} is not archived`];
}

function describeLastFailure(archive: ArchiveState, now: string): string[] {
  const { name, failing, lastFailure, failingSince, failuresInARow } = archive;
  if (!failing || lastFailure === null) return [];
  const [first = '', ...rest] = describeFailure(lastFailure, `${name} ${lastFailure.run}`);
  const since =
    failingSince === null || failuresInARow < 2
      ? []
      : [`  since  ${localTime(failingSince)}, ${countOf(failuresInARow, 'failure')} in a row`];
  return ['', `${first} at ${localTime(lastFailure.at)}`, ...since, ...rest, ...describeNextTry(archive, now)];
}

function describeNextTry({ paused, current, nextTry, nextSlot }: ArchiveState, now: string): string[] {
  if (paused || current !== null) return [];
  if (nextTry !== null) return [`  next   tried again ${inTime(nextTry.at, now)}`];
  return nextSlot === null
    ? ['  next   not tried again by itself: there is no schedule']
    : [`  next   its next slot, ${inTime(nextSlot, now)}`];
}

/** `2026-11-26 02:20:00, in 4m 10s` */
function inTime(iso: string, now: string): string {
  return `${localTime(iso)}, in ${formatDuration(Math.max(0, Date.parse(iso) - Date.parse(now)))}`;
}

/** Of an archive that the daemon verifies: its oldest proof, what is read now, and what is not as it should be. */
function describeProofs({ name, proof }: ArchiveState): string[] {
  if (proof === null) return [];
  const {
    runs,
    due,
    unproved,
    oldest,
    oldestUnproved,
    last,
    current,
    different,
    differentRuns,
    unreadableRuns,
    failure,
  } = proof;
  const now = current === null ? [] : [`  reads ${current.run} ${current.percent}%${pauseOf(current)}`];
  const how = oldest?.isProved === true ? 'proved' : 'committed and never proved,';
  const counts =
    runs === null
      ? ['  not looked at yet']
      : [
          `  ${countOf(runs, 'run')}, ${formatCount(due)} due, ${formatCount(unproved)} never proved`,
          ...(last === null ? [] : [`  the last proof: ${last.run} ${localTime(last.at)}`]),
          ...(oldest === null ? [] : [`  the oldest: ${oldest.run} ${how} ${localTime(oldest.at)}`]),
          ...(oldestUnproved === null || oldest?.isProved === false
            ? []
            : [`  the oldest without a proof: ${oldestUnproved.run} committed ${localTime(oldestUnproved.at)}`]),
        ];
  const cold = unreadableRuns === 0 ? [] : [`  ${countOf(unreadableRuns, 'run')} cannot be read at once`];
  const found = different.flatMap(({ run, foundAt, differences, more }) => [
    `  ${run} differs from its manifest, found ${localTime(foundAt)}`,
    ...differences.map(
      ({ key, line, message }) => `    ${key}: ${line === undefined ? '' : `line ${line}: `}${message}`,
    ),
    ...(more > 0 ? [`    and ${countOf(more, 'further difference')}`] : []),
  ]);
  const others = differentRuns - different.length;
  const failed = failure === null ? [] : describeFailure(failure, '  runs could not be read');
  const rest = others > 0 ? [`  and ${countOf(others, 'further run')}`] : [];
  return ['', `proofs of ${name}`, ...now, ...counts, ...cold, ...failed, ...found, ...rest];
}

function pauseOf({ pause }: { pause: Pause | null }): string {
  return pause === null ? '' : `, pauses: ${pause.message}`;
}

/** Of an archive whose restores are rehearsed: what goes on, the last one, and what did not come back. */
function describeRehearsals({ name, rehearsal }: ArchiveState): string[] {
  if (rehearsal === null) return [];
  const { runs, rehearsed, last, lastEqual, current, different, differentRuns, failure } = rehearsal;
  const now =
    current === null ? [] : [`  restores ${current.run} ${current.percent}%, ${partOf(current)}${pauseOf(current)}`];
  const counts =
    runs === null
      ? ['  not looked at yet']
      : [`  ${formatCount(rehearsed)} of ${countOf(runs, 'run')} have come back as they were archived`];
  const before =
    last === null ? [] : [`  last: ${last.run} ${last.status}, ${localTime(last.at)}, ${describeRehearsed(last)}`];
  const good =
    lastEqual === null || lastEqual.at === last?.at
      ? []
      : [`  last equal: ${lastEqual.run} ${localTime(lastEqual.at)}`];
  const found = different.map(
    ({ run, at, message }) => `  ${run} did not come back, ${localTime(at)}: ${message ?? ''}`,
  );
  const others = differentRuns - different.length;
  const rest = others > 0 ? [`  and ${countOf(others, 'further run')}`] : [];
  const failed = failure === null ? [] : describeFailure(failure, `  not rehearsed ${failure.run}`.trimEnd());
  return ['', `rehearsals of ${name}`, ...now, ...counts, ...before, ...good, ...failed, ...found, ...rest];
}

function describeRehearsed(result: ShownResult): string {
  const { rows, seconds, substitutes } = result;
  const other = substitutes.map(({ column, type, as }) => `${column} as ${as} in the place of ${type}`).join(', ');
  return `${countOf(rows, 'row')} of ${partOf(result)} in ${formatDuration(seconds * 1000)}${other === '' ? '' : `; ${other}`}`;
}

/** `12 of 400 objects`, or `400 objects` where that is all. */
function partOf({ objects, objectsOfRun }: { objects: number; objectsOfRun: number }): string {
  return objects === objectsOfRun
    ? countOf(objects, 'object')
    : `${formatCount(objects)} of ${countOf(objectsOfRun, 'object')}`;
}

/** Of an archive that the daemon purges: what it does, what is due, and what does not go. */
function describePurges({ name, purge }: ArchiveState): string[] {
  if (purge === null) return [];
  const { current, due, oldestDue, last, notPurgeable, notPurgeableRuns, failure } = purge;
  const now = current === null ? [] : [`  ${describePurging(current)}`];
  const waiting =
    oldestDue === null
      ? []
      : [`  ${countOf(due, 'run')} due, the oldest ${oldestDue.run} since ${localTime(oldestDue.since)}`];
  const before =
    last === null
      ? []
      : [
          `  last: ${last.run} ${last.status}${last.reason === 'ok' ? '' : ` (${last.reason})`}, ${describeOutcomes(last.totals)}`,
        ];
  const left = notPurgeable.slice(0, 1).flatMap((one) => describeHeld(one));
  const more = notPurgeableRuns > 1 ? [`  ${countOf(notPurgeableRuns, 'run')} in all do not go by themselves`] : [];
  const failed =
    failure === null
      ? []
      : describeFailure(
          failure,
          `  ${HOLDS_PURGE.has(failure.code) ? 'nothing is purged' : 'what is due could not be found out'}`,
        );
  const lines = [...now, ...waiting, ...before, ...failed, ...left, ...more];
  return lines.length === 0 ? [] : ['', `purge of ${name}`, ...lines];
}

/** It was refused before anything was deleted, which is no failure. */
function describeHeld(held: NonNullable<ArchiveState['purge']>['notPurgeable'][number]): string[] {
  const [, ...rest] = describeFailure(held, held.run);
  return [`  ${held.run} is not purged (${held.code})`, ...rest.map((line) => `  ${line}`)];
}

const HOLDS_PURGE: ReadonlySet<string> = new Set(['archive-different', 'rehearsal-different']);

function describePurging({
  run,
  state,
  percent,
  totals,
  pause,
}: NonNullable<NonNullable<ArchiveState['purge']>['current']>) {
  if (state === 'waiting') return 'waits for its turn';
  if (state === 'looking') return 'finds out what is due';
  if (pause !== null) return `${run} pauses: ${pause.message}`;
  return `${state} ${run} ${percent}%${totals === null ? '' : `, ${describeOutcomes(totals)}`}`;
}

/** What lies there and is nothing of this daemon's; of an older one that does not say it, nothing. */
function describeFormer(former: State['former'] | undefined): string[] {
  if (former === null || former === undefined || former.count === 0) return [];
  const lines = former.archives.map(
    ({ name, url, runs, more, latestRun }) =>
      `  ${name}: ${more ? 'more than ' : ''}${countOf(runs, 'run')} in ${url}, the latest ${latestRun}`,
  );
  const others = former.count - former.archives.length;
  const rest = others > 0 ? [`  and ${countOf(others, 'further archive')}`] : [];
  return ['', 'not in the config: nothing of these is archived, purged or audited', ...lines, ...rest];
}

/** What is no time is shown as it was said. */
function localTime(text: string): string {
  const instant = new Date(text);
  return Number.isNaN(instant.getTime()) ? text : formatLocalTime(instant);
}
