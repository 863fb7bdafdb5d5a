/** Where pgsluice's time goes: one segment up to each of its stages, in turn; the differences are the stages. */
import path from 'node:path';
import { archiveName } from './contenders.ts';
import { measure } from './measure.ts';
import { emptyStore, say, type BenchTable, type Site } from './site.ts';
import { STAGES, type Stage, type StageFigures } from './stage-process.ts';
import { medianOf } from './statistics.ts';

export interface StageCost {
  stage: Stage;
  /** CPU of this stage alone. */
  cpuSeconds: number;
  /** Up to this stage, from the first byte to the last. */
  seconds: number;
}

export interface StagesOfTable {
  table: BenchTable;
  jsonBytes: number;
  costs: StageCost[];
}

const PROGRAM = path.join(import.meta.dirname, 'stage-process.ts');

export async function measureStages(site: Site, rounds: number, signal: AbortSignal): Promise<StagesOfTable[]> {
  const found: StagesOfTable[] = [];
  for (const table of site.tables) found.push(await measureTable(site, table, rounds, signal));
  return found;
}

async function measureTable(
  site: Site,
  table: BenchTable,
  rounds: number,
  signal: AbortSignal,
): Promise<StagesOfTable> {
  const archive = archiveName('stages', table);
  const configFile = site.writeConfig(archive, { [archive]: `table: ${table.relation}, segments: { by: none }` });
  const runs: Record<Stage, StageFigures[]> = Object.fromEntries(STAGES.map((stage) => [stage, []] as const)) as never;
  for (let round = 1; round <= rounds; round += 1) {
    for (const stage of STAGES) {
      const { environment, postmaster } = site;
      const commandLine = `"$NODE" '${PROGRAM}' '${configFile}' ${archive} '${stage}'`;
      const { stdout } = await measure(commandLine, { environment, postmaster, signal });
      const figures = JSON.parse(stdout) as StageFigures;
      if (figures.rows !== table.rows) throw new Error(`${stage}: ${figures.rows} rows instead of ${table.rows}`);
      runs[stage].push(figures);
      await emptyStore(site);
    }
    say(`stages of the ${table.name} table: round ${round} of ${rounds}`);
  }
  return { table, jsonBytes: runs.upload[0]?.jsonBytes ?? 0, costs: costsOf(runs) };
}

function costsOf(runs: Record<Stage, StageFigures[]>): StageCost[] {
  let before = 0;
  return STAGES.map((stage) => {
    // What others do on the machine only adds to CPU time; between the least ones lies what the stage itself takes.
    const upTo = Math.min(...runs[stage].map(({ cpuSeconds }) => cpuSeconds));
    const cost = { stage, cpuSeconds: upTo - before, seconds: medianOf(runs[stage].map(({ seconds }) => seconds)) };
    before = upTo;
    return cost;
  });
}
