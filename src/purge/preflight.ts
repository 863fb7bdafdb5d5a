/** Judges by the facts whether a run may be purged: all that stands against it at once. Pure: no query. */
import { fail } from '../base/errors.ts';
import type { FixedCode } from '../base/failures.ts';
import { AGAIN } from '../base/failures/purge.ts';
import { formatDuration } from '../base/units.ts';
import { quoteIdentifier, quoteTableName } from '../postgres/identifiers.ts';
import type { Column } from '../postgres/columns.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import { LEAST_AFTER_MS } from './due.ts';
import { exactRows, isKeyType } from './exact.ts';
import type { PurgeFacts, Reference } from './look.ts';
import type { Problem, PurgeOption } from './request.ts';

/** What is asked of a run. */
export type PurgedRun = Pick<ManifestHead, 'run' | 'finishedAt' | 'source' | 'table' | 'columns' | 'inherited'>;

/** What the run is, and what its owner accepts. */
export interface PurgeCase {
  manifest: PurgedRun;
  option: Pick<PurgeOption, 'accept' | 'afterMs'>;
  /** Whether the run was named, so that its age does not matter. */
  isNamed: boolean;
}

export function findProblems(facts: PurgeFacts, { manifest, option, isNamed }: PurgeCase): Problem[] {
  return [
    ...serverProblems(facts),
    ...sourceProblems(facts, manifest),
    ...(isNamed ? [] : ageProblems(facts, manifest, option)),
    ...tableProblems(facts, manifest),
    ...columnProblems(facts, manifest),
    ...rightProblems(facts),
    ...facts.references.flatMap(referenceProblems),
    ...acceptanceProblems(facts, option),
  ];
}

export function problem(code: FixedCode, message: string, hint?: string): Problem {
  const { failure } = fail(code, { stage: 'purge', message, hint });
  return { code, message: failure.message, hint: failure.hint };
}

/** Encodings of which each text has a line of its own. EUC_JP and EUC_TW have characters in two forms; others are not known. */
const ONE_TO_ONE = /^(?:UTF8|SQL_ASCII|LATIN\d+|ISO_8859_\d|WIN\d+|KOI8[RU]|EUC_CN|EUC_KR|EUC_JIS_2004)$/;

export function serverProblems({ server }: Pick<PurgeFacts, 'server'>): Problem[] {
  const problems: Problem[] = [];
  if (server.isPooled) problems.push(problem('purge-pooler', 'the connection goes through a pooler such as PgBouncer'));
  if (server.inRecovery) problems.push(problem('purge-read-only', 'the server is a standby'));
  else if (server.readOnly) problems.push(problem('purge-read-only', `transactions of ${server.role} are read-only`));
  if (server.replicationRole === 'replica')
    problems.push(
      problem(
        'purge-replication-role',
        `session_replication_role of ${server.role} is replica: no foreign key would be kept`,
        `ALTER ROLE ${quoteIdentifier(server.role)} RESET session_replication_role;`,
      ),
    );
  if (!ONE_TO_ONE.test(server.encoding))
    problems.push(problem('purge-encoding', `texts of ${server.encoding} that differ may be the same in UTF-8`));
  return problems;
}

export function sourceProblems(
  { identity, relation }: Pick<PurgeFacts, 'identity' | 'relation'>,
  { source, table }: PurgedRun,
): Problem[] {
  const named = `${relation.schema}.${relation.name}`;
  if (table !== undefined && table !== named)
    return [
      problem(
        'purge-wrong-source',
        `the run is of table ${table}, and the archive is of ${named} now`,
        `Let \`table\` be that of the run. Where it was renamed: ${AGAIN}`,
      ),
    ];
  const same = source.systemIdentifier !== null && source.systemIdentifier === identity.systemIdentifier;
  if (same && source.database === identity.database) return [];
  const describe = ({ database, systemIdentifier }: ManifestHead['source']): string =>
    `database ${database} of system ${systemIdentifier ?? 'that the role may not ask for'}`;
  return [problem('purge-wrong-source', `the run is of ${describe(source)}, connected is ${describe(identity)}`)];
}

export function ageProblems(
  { server }: Pick<PurgeFacts, 'server'>,
  { run, finishedAt }: PurgedRun,
  option: PurgeCase['option'],
): Problem[] {
  const ageMs = server.now.getTime() - Date.parse(finishedAt);
  const afterMs = Math.max(option.afterMs, LEAST_AFTER_MS);
  if (ageMs >= afterMs) return [];
  const wanted = formatDuration(afterMs);
  const message = `run ${run} was committed at ${finishedAt}, and purge.after wants ${wanted} by the clock of the database`;
  return [problem('purge-too-young', message)];
}

function tableProblems(facts: PurgeFacts, manifest: PurgedRun): Problem[] {
  const { relation, foreignLeaves, rules } = facts;
  const problems: Problem[] = [];
  if (manifest.table === undefined)
    problems.push(problem('purge-incomplete-archive', 'the run is of a query, not of a table'));
  if (relation.kind !== 'table' && relation.kind !== 'partitioned')
    problems.push(problem('purge-incomplete-archive', `${nameOf(facts)} is no table, but of kind ${relation.kind}`));
  for (const name of foreignLeaves)
    problems.push(problem('purge-incomplete-archive', `${name} is a foreign table, which no snapshot covers`));
  if ((relation.kind === 'table' && relation.hasChildren) || manifest.inherited === true)
    problems.push(problem('purge-inherits', `other tables inherit from ${nameOf(facts)}, or did in this run`));
  for (const { name, table } of rules)
    problems.push(
      problem(
        'purge-rule',
        `rule ${name} of ${table} acts on DELETE`,
        `DROP RULE ${quoteIdentifier(name)} ON ${table};`,
      ),
    );
  if (keyOf(facts) === undefined)
    problems.push(
      problem('purge-no-key', `${nameOf(facts)} has no primary key or UNIQUE index on NOT NULL columns of plain types`),
    );
  return problems;
}

/** The columns that tell rows apart; undefined where no unique key has plain types. */
export function keyOf({ keys, relation }: PurgeFacts): Column[] | undefined {
  for (const names of keys) {
    const columns = names.flatMap((name) => relation.columns.find((column) => column.name === name) ?? []);
    if (columns.length === names.length && columns.every(isKeyType)) return columns;
  }
  return undefined;
}

export function columnProblems({ relation }: Pick<PurgeFacts, 'relation'>, { columns }: PurgedRun): Problem[] {
  const describe = ({ name, type }: { name: string; type: string }): string => `${quoteIdentifier(name)} ${type}`;
  const differing = Array.from({ length: Math.max(relation.columns.length, columns.length) }, (_, at) => at).find(
    (at) => {
      const [now, then] = [relation.columns[at], columns[at]];
      return now === undefined || then === undefined || !isSameColumn(now, then);
    },
  );
  if (differing !== undefined) {
    const [now, then] = [relation.columns[differing], columns[differing]];
    const message = `column ${differing + 1} is ${now ? describe(now) : 'not there'}, in the run it is ${then ? describe(then) : 'not there'}`;
    return [problem('purge-columns-changed', message)];
  }
  return exactRows(relation.columns, columns, 't').lossy.map((column) =>
    problem('purge-lossy-type', `${describe(column)}: a line does not tell all of such a value`),
  );
}

type NamedType = Pick<Column, 'name' | 'type' | 'typeOid'>;

/** The name of a type has its schema or not, by the search path of the role that asked: the run's may have had another one. */
function isSameColumn(now: NamedType, then: NamedType): boolean {
  if (now.name !== then.name) return false;
  if (now.type === then.type) return true;
  const modifierOf = (type: string): string => /\(.*$/.exec(type)?.[0] ?? '';
  return now.typeOid === then.typeOid && modifierOf(now.type) === modifierOf(then.type);
}

function rightProblems(facts: PurgeFacts): Problem[] {
  const { rights, server, references } = facts;
  const problems: Problem[] = [];
  const update = `UPDATE (${quoteIdentifier(keyOf(facts)?.[0]?.name ?? facts.relation.columns[0]?.name ?? '')})`;
  const wanted: [has: boolean, right: string][] = [
    [rights.select, 'SELECT'],
    [rights.delete, 'DELETE'],
    [rights.update, update],
  ];
  const missing = wanted.filter(([has]) => !has).map(([, right]) => right);
  const to = quoteIdentifier(server.role);
  if (missing.length > 0)
    problems.push(
      problem(
        'purge-permission',
        `${server.role} lacks ${missing.join(', ')} on ${nameOf(facts)}`,
        `GRANT ${missing.join(', ')} ON ${nameOf(facts)} TO ${to};`,
      ),
    );
  for (const { table, schema, canSelect, canName, hidesRows } of references) {
    if (!canName)
      problems.push(
        problem(
          'purge-permission',
          `${server.role} lacks USAGE on the schema of ${table}`,
          `GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${to};`,
        ),
      );
    if (!canSelect)
      problems.push(
        problem('purge-permission', `${server.role} lacks SELECT on ${table}`, `GRANT SELECT ON ${table} TO ${to};`),
      );
    if (hidesRows)
      problems.push(problem('purge-row-security', `row security hides rows of ${table} from ${server.role}`));
  }
  if (rights.hidesRows)
    problems.push(problem('purge-row-security', `row security hides rows of ${nameOf(facts)} from ${server.role}`));
  return problems;
}

const ACTIONS: Readonly<Record<string, string>> = { c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' };

function referenceProblems({ name, table, onDelete, columns, hasIndex }: Reference): Problem[] {
  const action = ACTIONS[onDelete];
  const list = columns.map(quoteIdentifier).join(', ');
  const problems: Problem[] = [];
  if (action !== undefined)
    problems.push(problem('purge-cascades', `${name} of ${table} (${list}) is ON DELETE ${action}`));
  if (!hasIndex)
    problems.push(
      problem(
        'purge-unindexed-reference',
        `${table} (${list}) refers to the table, and has no index that begins with one of these columns`,
        `CREATE INDEX CONCURRENTLY ON ${table} (${list});`,
      ),
    );
  return problems;
}

/** What deleting sets off besides. */
function acceptanceProblems(facts: PurgeFacts, { accept }: PurgeCase['option']): Problem[] {
  const { triggers, publications, slots, subscriptions, withoutIdentity } = facts;
  const problems: Problem[] = [];
  for (const { name, table, isFirst } of triggers) {
    const which = `trigger ${name} of ${table}`;
    if (isFirst)
      problems.push(
        problem(
          'purge-triggers',
          `${which} fires before the rows are compared, and may change how they are printed`,
          `Such a trigger cannot be accepted: make it AFTER DELETE or FOR EACH ROW, or ALTER TABLE ${table} DISABLE TRIGGER ${quoteIdentifier(name)};`,
        ),
      );
    else if (!accept.includes('triggers')) problems.push(problem('purge-triggers', `${which} fires on each delete`));
  }
  if (!accept.includes('publications'))
    for (const name of publications)
      problems.push(problem('purge-published', `publication ${name} sends out each delete`));
  if (publications.length > 0)
    for (const name of withoutIdentity)
      problems.push(
        problem('purge-replica-identity', `${name} is published with deletes, and has no replica identity`),
      );
  if (!accept.includes('slots'))
    for (const { name, plugin } of slots)
      problems.push(problem('purge-slots', `logical slot ${name} (${plugin}) of this database decodes each delete`));
  if (!accept.includes('subscriptions'))
    for (const name of subscriptions)
      problems.push(problem('purge-subscribed', `subscription ${name} fills the table`));
  return problems;
}

function nameOf({ relation }: PurgeFacts): string {
  return quoteTableName({ schema: relation.schema, table: relation.name });
}
