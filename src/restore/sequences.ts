/** Sets the sequences of identity and serial columns past the restored values, so that new rows do not meet them. */
import type { Client } from '../postgres/connect.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { Target } from './target.ts';

/** Only ever moves a sequence on, in the direction that it counts. */
export async function advanceSequences(client: Client, target: Target): Promise<void> {
  for (const { name, sequence } of target.columns) {
    if (sequence === undefined) continue;
    try {
      await advance(client, target, name, sequence.name);
    } catch (error) {
      throw restoreFailure(error, `setting the sequence ${sequence.name} past the restored rows`);
    }
  }
}

async function advance(client: Client, target: Target, column: string, sequence: string): Promise<void> {
  const { rows } = await client.query<{ ascends: boolean }>(
    'SELECT seqincrement > 0 AS ascends FROM pg_sequence WHERE seqrelid = $1::regclass',
    [sequence],
  );
  const [best, further] = rows[0]?.ascends === false ? ['min', '<'] : ['max', '>'];
  await client.query(
    `SELECT setval(${quoteLiteral(sequence)}::regclass, t.value) FROM (SELECT ${best}(${quoteIdentifier(column)})::int8 AS value FROM ${target.name}) AS t,
       ${sequence} AS s, pg_sequence AS d
     WHERE d.seqrelid = ${quoteLiteral(sequence)}::regclass AND t.value BETWEEN d.seqmin AND d.seqmax
       AND (t.value ${further} s.last_value OR (t.value = s.last_value AND NOT s.is_called))`,
  );
}
