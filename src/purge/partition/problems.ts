/** Judges by the facts whether the partition of a run may go: all that stands against it at once. Pure: no query. */
import type { ManifestHead } from '../../ledger/manifest.ts';
import { quoteIdentifier, quoteTableName } from '../../postgres/identifiers.ts';
import { ageProblems, columnProblems, problem, serverProblems, sourceProblems, type PurgeCase } from '../preflight.ts';
import type { Problem } from '../request.ts';
import type { PartitionDetails, PartitionFacts } from './look.ts';

/** Without a partition, what stands against any of them. */
export function findPartitionProblems(
  facts: PartitionFacts,
  { manifest, option, isNamed }: PurgeCase & { manifest: Pick<ManifestHead, 'where'> },
): Problem[] {
  const { partition } = facts;
  return [
    ...serverProblems(facts),
    ...sourceProblems(facts, manifest),
    ...(isNamed ? [] : ageProblems(facts, manifest, option)),
    ...(manifest.where === undefined
      ? []
      : [
          problem(
            'purge-incomplete-archive',
            'the run has the rows that a filter has let through, and a partition goes whole',
          ),
        ]),
    ...tableProblems(facts),
    ...columnProblems(facts, manifest),
    ...(partition === undefined ? [] : partitionProblems(facts, partition)),
    ...(option.accept.includes('subscriptions')
      ? []
      : facts.subscriptions.map((name) => problem('purge-subscribed', `subscription ${name} fills the table`))),
  ];
}

function tableProblems({ relation, server, ownsTable, owner, otherPending, rights }: PartitionFacts): Problem[] {
  const name = quoteTableName({ schema: relation.schema, table: relation.name });
  const problems: Problem[] = [];
  if (relation.kind !== 'partitioned')
    problems.push(problem('purge-incomplete-archive', `${name} is no partitioned table, but of kind ${relation.kind}`));
  if (!ownsTable) problems.push(notOwner(server.role, name, owner));
  if (rights.hidesRows)
    problems.push(problem('purge-row-security', `row security hides rows of ${name} from ${server.role}`));
  for (const other of otherPending)
    problems.push(
      problem(
        'partition-pending',
        `${other} is half detached, and not by this purge`,
        `Where pgsluice has begun it, purge that run again; else: ALTER TABLE ${name} DETACH PARTITION ${other} FINALIZE;`,
      ),
    );
  return problems;
}

function partitionProblems({ relation, server }: PartitionFacts, partition: PartitionDetails): Problem[] {
  const name = quoteTableName({ schema: partition.schema, table: partition.name });
  const problems: Problem[] = [];
  if (!partition.owns) problems.push(notOwner(server.role, name, partition.owner));
  if (partition.hidesRows)
    problems.push(problem('purge-row-security', `row security hides rows of ${name} from ${server.role}`));
  for (const leaf of partition.foreignLeaves)
    problems.push(problem('purge-incomplete-archive', `${leaf} is a foreign table, which no snapshot covers`));
  const columns = relation.columns.map((column) => `"${column.name}" ${column.type}`).sort();
  if (partition.columns.join() !== columns.join())
    problems.push(problem('purge-columns-changed', `the columns of ${name} are not those of its table`));
  for (const dependent of partition.dependents)
    problems.push(problem('partition-depended-on', `${dependent} depends on ${name}`));
  for (const reference of partition.referring)
    problems.push(problem('partition-referenced', `rows refer to rows of ${name} by ${reference}`));
  // What is half detached has begun to wait.
  if (partition.state !== 'pending' && partition.blockers.length > 0)
    problems.push(problem('partition-blocked', `it would wait for ${partition.blockers.join(', ')}`));
  return problems;
}

function notOwner(role: string, name: string, owner: string): Problem {
  return problem(
    'purge-permission',
    `${role} is not a member of ${owner}, which owns ${name}: only that may detach and drop it`,
    `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(role)};`,
  );
}
