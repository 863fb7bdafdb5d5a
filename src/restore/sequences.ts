/** Sets the sequences that columns take their values from past the restored ones, so that new rows do not meet them. */
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { Target, TargetColumn, TargetSequence } from './target.ts';

/** Only ever moves a sequence on, in the direction that it counts. Resolves to what should be known of those that stay. */
export async function advanceSequences(client: Client, target: Target): Promise<string[]> {
  const warnings: string[] = [];
  for (const { name, sequences } of target.columns) {
    for (const sequence of sequences.filter(canAdvance)) {
      try {
        warnings.push(...(await advance(client, target, name, sequence.name)));
      } catch (error) {
        throw restoreFailure(error, `setting the sequence ${sequence.name} past the restored rows`);
      }
    }
  }
  return warnings;
}

/** What the operator has to do himself, for the columns that get values of the archive. */
export function warnOfSequences(
  { columns }: Pick<ManifestHead, 'columns'>,
  target: { columns: readonly Pick<TargetColumn, 'name' | 'isGenerated' | 'sequences'>[] },
): string[] {
  const filled = target.columns.filter(
    ({ name, isGenerated }) => !isGenerated && columns.some((column) => column.name === name),
  );
  return filled.flatMap(({ name, sequences }) =>
    sequences
      .filter((sequence) => !canAdvance(sequence))
      .map((sequence) => {
        const why = sequence.isCounter ? 'the role may not' : 'the values of the column are not those of the sequence';
        return `sequence ${sequence.name} of column ${name} is not set past the restored values, as ${why}: look whether new rows meet them`;
      }),
  );
}

function canAdvance({ isCounter, canUpdate }: TargetSequence): boolean {
  return isCounter && canUpdate;
}

interface Standing {
  /** The furthest value of the column; null when there is none. */
  value: string | null;
  fits: boolean | null;
  isFurther: boolean | null;
}

async function advance(client: Client, target: Target, column: string, sequence: string): Promise<string[]> {
  const { value, fits, isFurther } = await compare(client, target, column, sequence);
  if (value === null) return [];
  if (fits !== true)
    return [
      `sequence ${sequence} of column ${column} stays where it is: ${value} is out of the range that it counts in`,
    ];
  if (isFurther === true) await setValue(client, sequence, value);
  return [];
}

async function setValue(client: Client, sequence: string, value: string): Promise<void> {
  await client.query('SELECT pg_catalog.setval($1::pg_catalog.regclass, $2::pg_catalog.int8)', [sequence, value]);
}

async function compare(client: Client, target: Target, column: string, sequence: string): Promise<Standing> {
  const { rows: directions } = await client.query<{ ascends: boolean }>(
    `SELECT seqincrement OPERATOR(pg_catalog.>) 0 AS ascends FROM pg_catalog.pg_sequence
     WHERE seqrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass`,
    [sequence],
  );
  // A column of numeric may have values between the numbers of a sequence.
  const [best, further, whole] = directions[0]?.ascends === false ? ['min', '<', 'floor'] : ['max', '>', 'ceil'];
  const { rows } = await client.query<Standing>(
    `SELECT t.value::pg_catalog.text AS value,
       t.value OPERATOR(pg_catalog.>=) d.seqmin AND t.value OPERATOR(pg_catalog.<=) d.seqmax AS fits,
       t.value OPERATOR(pg_catalog.${further}) s.last_value
         OR (t.value OPERATOR(pg_catalog.=) s.last_value AND NOT s.is_called) AS "isFurther"
     FROM (
       SELECT pg_catalog.${whole}(pg_catalog.${best}(${quoteIdentifier(column)})::pg_catalog.numeric) AS value
       FROM ${target.name}
     ) AS t, ${sequence} AS s, pg_catalog.pg_sequence AS d
     WHERE d.seqrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass`,
    [sequence],
  );
  return rows[0] ?? { value: null, fits: null, isFurther: null };
}
