/** What a config for these tables would be, as far as the rest of the program says that it works. */
import { toFailure } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import { archiveNameOf, distinctName } from '../config/archive-name.ts';
import { archiveNamed } from '../config/resolve.ts';
import { loadTyped, type TypedArchive, type TypedEnds } from '../config/typed.ts';
import { lookAhead } from '../purge/outlook.ts';
import { checkOnline, type OnlineFinding } from '../run/check-online.ts';
import { nameOf, type FoundTable } from './look.ts';

export interface SuggestedArchive {
  name: string;
  table: FoundTable;
  /** As the config takes it. */
  tableName: string;
  window: 'partition' | 'day' | 'month';
  /** What stands against a purge, each as `code: message`; empty where nothing does. */
  againstPurge: readonly string[];
  /** What deleting rows would set off besides. */
  purgeEffects: readonly string[];
}

export interface Suggestion {
  archives: SuggestedArchive[];
  /** Tables that no run could archive, and why. */
  refused: { tableName: string; why: string; hint: string | undefined }[];
  /** Of the source and the destination; where one of them is an error, there are no archives. */
  findings: OnlineFinding[];
}

/** A table that is larger has rows enough for a window a day. */
const DAILY_BYTES = 10 * 1024 ** 3;
/** What a purge is looked ahead to with: nothing of what it sets off is accepted. */
const PURGE = { after: '7d' };

/** Gets what part is done, up to 1, and what is looked at. */
export type OnLook = (part: number, what: string) => void;

/** Connects to both ends, as `check --online` does. */
export async function suggest(
  ends: TypedEnds,
  tables: readonly FoundTable[],
  environment: NodeJS.ProcessEnv,
  onLook: OnLook = () => undefined,
): Promise<Suggestion> {
  const named = nameArchives(tables);
  const options = Object.fromEntries(named.map(({ name, table }) => [name, archiveOptions(table)]));
  let looks = 0;
  const tell = (what: string): void => {
    onLook(looks / (2 * named.length), what);
    looks += 1;
  };
  const all = await checkOnline(loadTyped({ ends, archives: options }, environment), ({ subject }) => {
    if (subject.startsWith('archives.') && looks < named.length) tell(subject.slice('archives.'.length));
  });
  looks = named.length;
  const findings = all.filter(({ subject }) => !subject.startsWith('archives.'));
  if (findings.some(({ level }) => level === 'error')) return { archives: [], refused: [], findings };
  const errors = new Map(all.filter(({ level }) => level === 'error').map((finding) => [finding.subject, finding]));
  const errorOf = (name: string): OnlineFinding | undefined => errors.get(`archives.${name}`);
  const archives: SuggestedArchive[] = [];
  for (const { name, table } of named) {
    tell(name);
    if (errorOf(name) !== undefined) continue;
    const tableName = nameOf(table);
    archives.push({
      name,
      table,
      tableName,
      window: windowOf(table),
      ...(await lookAtPurge(ends, name, table, environment)),
    });
  }
  onLook(1, countOf(named.length, 'table'));
  const refused = named.flatMap(({ name, table }) => {
    const error = errorOf(name);
    return error === undefined ? [] : [{ tableName: nameOf(table), why: error.message, hint: error.hint }];
  });
  return { archives, refused, findings };
}

function nameArchives(tables: readonly FoundTable[]): { name: string; table: FoundTable }[] {
  const taken = new Set<string>();
  return tables.map((table) => {
    const name = distinctName(archiveNameOf({ schema: table.schema, table: table.name }), taken);
    taken.add(name.toLowerCase());
    return { name, table };
  });
}

/** Foreign tables have no common snapshot with anything. */
export function archiveOptions(table: FoundTable): TypedArchive {
  const consistency = table.kind === 'foreign' ? { consistency: 'none' } : {};
  return { table: nameOf(table), ...consistency };
}

function windowOf({ time, bytes }: FoundTable): SuggestedArchive['window'] {
  if (time?.isPartitionKey === true) return 'partition';
  return bytes >= DAILY_BYTES ? 'day' : 'month';
}

async function lookAtPurge(
  ends: TypedEnds,
  name: string,
  table: FoundTable,
  environment: NodeJS.ProcessEnv,
): Promise<Pick<SuggestedArchive, 'againstPurge' | 'purgeEffects'>> {
  const window =
    windowOf(table) === 'partition' && table.time !== undefined
      ? { window: { column: table.time.name, every: 'partition' }, purge: { ...PURGE, then: 'drop' } }
      : { purge: PURGE };
  const archives = { [name]: { ...archiveOptions(table), ...window } };
  const config = loadTyped({ ends, archives }, environment);
  const archive = archiveNamed(config, name);
  if (archive === undefined) throw new Error(`there is no archive ${name}`);
  try {
    const { problems = [], effects = [] } = (await lookAhead(config, archive)) ?? {};
    return { againstPurge: problems.map(({ code, message }) => `${code}: ${message}`), purgeEffects: effects };
  } catch (error) {
    const { code, message } = toFailure(error, 'plan');
    return { againstPurge: [`${code}: ${message}`], purgeEffects: [] };
  }
}
