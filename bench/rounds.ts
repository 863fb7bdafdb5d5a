/** The race: every contender on every table once to warm up and be checked, then in turn, round after round. */
import { formatCount } from '../src/base/units.ts';
import type { RunResult } from '../src/run/run-archive.ts';
import { archivesOf, type Contender } from './contenders.ts';
import { measure, type Measurement } from './measure.ts';
import type { LightSite } from './light-site.ts';
import { countStoredLines, emptyStore, say, type BenchTable, type Site } from './site.ts';
import { medianOf, spreadOf, type Spread } from './statistics.ts';

/** What a contender took on a table, over all rounds. */
export interface Figures {
  contender: Contender;
  table: BenchTable;
  seconds: Spread;
  cpuSeconds: number;
  serverCpuSeconds: number;
  peakRssBytes: number;
  /** Bytes of JSON Lines, as pgsluice counts them; undefined for the others. */
  jsonBytes: number | undefined;
  storedBytes: number | undefined;
}

/** A run id for each run, as a run that is committed is not run again. */
export function* runIds(): Generator<string, never, undefined> {
  for (let at = Date.UTC(2026, 0, 1); ; at += 1000) yield new Date(at).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** Measures all contenders on all tables; the data of the first round is kept, and its lines are counted. Throws when one of them fails, or stores not as many lines as there are rows. */
export async function race(
  site: LightSite,
  contenders: readonly Contender[],
  rounds: number,
  signal: AbortSignal,
): Promise<Figures[]> {
  const configFile = site.writeConfig('contenders', archivesOf(site.tables, site.hasTls));
  const ids = runIds();
  const runnable = contenders.filter(({ needsTls }) => site.hasTls || needsTls !== true);
  const pairs = site.tables.flatMap((table) => runnable.map((contender) => ({ contender, table })));
  const measured = new Map<string, Measurement[]>();
  for (let round = 0; round <= rounds; round += 1) {
    await site.keepData(round === 0);
    for (const { contender, table } of pairs) {
      const commandLine = contender.commandLine(table, configFile, ids.next().value);
      const { environment, postmaster } = site;
      const result = await measure(commandLine, { environment, postmaster, signal });
      if (round === 0) await checkLines(site, contender, table);
      else add(measured, keyOf(contender, table), result);
      await emptyStore(site);
      const name = round === 0 ? 'warm-up' : `round ${round} of ${rounds}`;
      say(`${name}: ${table.name}, ${contender.label}: ${result.seconds.toFixed(2)} s`);
    }
  }
  return pairs.map(({ contender, table }) => figuresOf(contender, table, measured.get(keyOf(contender, table)) ?? []));
}

async function checkLines(site: Site, { prefix, label }: Contender, table: BenchTable): Promise<void> {
  if (prefix === undefined) return;
  const lines = await countStoredLines(site, prefix(table));
  if (lines !== table.rows)
    throw new Error(`${label} stored ${formatCount(lines)} lines of ${formatCount(table.rows)} rows`);
}

function keyOf(contender: Contender, table: BenchTable): string {
  return `${contender.name} ${table.name}`;
}

function add(measured: Map<string, Measurement[]>, key: string, result: Measurement): void {
  measured.set(key, [...(measured.get(key) ?? []), result]);
}

function figuresOf(contender: Contender, table: BenchTable, runs: readonly Measurement[]): Figures {
  const results = contender.kind === 'pgsluice' ? runs.map((run) => resultOf(run)) : [];
  return {
    contender,
    table,
    seconds: spreadOf(runs.map((run) => run.seconds)),
    cpuSeconds: medianOf(runs.map((run) => run.cpuSeconds)),
    serverCpuSeconds: medianOf(runs.map((run) => run.serverCpuSeconds)),
    // Between the last sample and its end a process may still grow; pgsluice asks the system at its end.
    peakRssBytes: Math.max(...runs.map((run) => run.peakRssBytes), ...results.map((result) => result.peakRssBytes)),
    jsonBytes: results[0]?.jsonBytes,
    storedBytes: results[0]?.bytes,
  };
}

/** What `pgsluice run --json` printed. Throws when the run was not committed. */
export function resultOf({ stdout }: Measurement): RunResult {
  const [result] = JSON.parse(stdout) as RunResult[];
  if (result?.status !== 'committed') throw new Error(`a run was not committed: ${stdout}`);
  return result;
}
