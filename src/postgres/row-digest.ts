/** What the server itself says of rows: how many there are, and a digest of their lines that does not depend on their order. */
import type { Client } from 'pg';
import { postgresFailure } from './errors.ts';
import { quoteIdentifier } from './identifiers.ts';
import { asOneStatement, buildSelect, type Narrowing, type Selection } from './select.ts';

/** Rows, and the sum of their digests modulo 2^64; the same as format/digest.ts makes of lines. */
export interface RowDigest {
  rows: number;
  sum: bigint;
}

/** A JSON value may hold line breaks between its parts, which the archive has as blanks. */
const LINE = String.raw`pg_catalog.translate(pg_catalog.row_to_json(t.*)::pg_catalog.text, E'\n\r', '  ')`;

/** The first 64 bits of the MD5 of that text in UTF-8, as a number. */
const DIGEST = `('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.md5(pg_catalog.convert_to(${LINE}, 'UTF8')), 16)
  )::pg_catalog.bit(64)::pg_catalog.int8`;

/** Asks for the digest of what `selection` gives, narrowed to a part of it. Throws FailureError. */
export async function digestRows(client: Client, selection: Selection, narrowing: Narrowing): Promise<RowDigest> {
  const { orderBy: _orderBy, ...unordered } = narrowing;
  const { text, params } = buildSelect(selection, unordered, () => false);
  const names = selection.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  try {
    const { rows } = await client.query<{ rows: string; sum: string | null }>(
      asOneStatement(
        `SELECT pg_catalog.count(*) AS rows, pg_catalog.sum(${DIGEST})::pg_catalog.text AS sum
         FROM (${text}) AS t${names === '' ? '' : `(${names})`}`,
        params,
      ),
    );
    return { rows: Number(rows[0]?.rows), sum: BigInt.asUintN(64, BigInt(rows[0]?.sum ?? 0)) };
  } catch (error) {
    throw postgresFailure(error, 'verify', 'asking for the digest of the rows');
  }
}
