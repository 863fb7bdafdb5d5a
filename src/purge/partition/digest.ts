/** Whether a partition holds the rows of a run, no more and no others: their number, and a sum over digests of their lines. */
import { createHash, hash, type Hash } from 'node:crypto';
import type { ManifestHead } from '../../ledger/manifest.ts';
import type { Column } from '../../postgres/columns.ts';
import type { Client } from '../../postgres/connect.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import { quoteIdentifier, quoteTableName } from '../../postgres/identifiers.ts';
import { asOneStatement } from '../../postgres/select.ts';
import type { ContentReader } from '../../segment/verify/content-check.ts';
import { exactRows } from '../exact.ts';
import { digestOf, freeAlias } from '../statement.ts';

const LINE_FEED = 0x0a;

/** Sums of the first and the second 64 bits of the SHA-256 of each line, as signed numbers: whatever the order of lines. */
export interface LineSums {
  rows: number;
  first: bigint;
  second: bigint;
}

/** What the server says of the rows that there are. */
export interface PartitionDigest extends LineSums {
  /** Rows that hold what their lines do not tell. */
  inexact: number;
  /** Rows that do not lie in the window: what has some is no partition of it. */
  outside: number;
}

/** Adds up the lines that it is told of. */
export class SummingReader implements ContentReader {
  readonly sums: LineSums = { rows: 0, first: 0n, second: 0n };
  /** Of the line that the last piece broke off in. */
  #begun: Hash | undefined;

  add(piece: Buffer): void {
    let start = 0;
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, start)) {
      this.#endLine(piece.subarray(start, end));
      start = end + 1;
    }
    if (start < piece.length) this.#begun = (this.#begun ?? createHash('sha256')).update(piece.subarray(start));
  }

  #endLine(rest: Buffer): void {
    const digest = this.#begun === undefined ? hash('sha256', rest, 'buffer') : this.#begun.update(rest).digest();
    this.#begun = undefined;
    addTo(this.sums, { rows: 1, first: digest.readBigInt64BE(0), second: digest.readBigInt64BE(8) });
  }
}

export function addTo(sums: LineSums, more: LineSums): void {
  sums.rows += more.rows;
  sums.first += more.first;
  sums.second += more.second;
}

/** What is to be digested. */
export interface DigestTarget {
  schema: string;
  table: string;
  /** Of the partitioned table: those of a partition may be in another order. */
  columns: readonly Column[];
  manifest: Pick<ManifestHead, 'columns' | 'window'>;
}

/** Asks the server, by what is committed when it is asked. Throws FailureError. */
export async function digestPartition(client: Client, target: DigestTarget): Promise<PartitionDigest> {
  const { manifest } = target;
  const bounds = manifest.window === undefined ? [] : [manifest.window.from, manifest.window.to];
  try {
    const { rows } = await client.query<Record<keyof PartitionDigest, string>>(
      asOneStatement(digestSql(target), bounds),
    );
    const [row] = rows;
    if (row === undefined) throw new Error('the server gave no row');
    return {
      rows: Number(row.rows),
      first: BigInt(row.first),
      second: BigInt(row.second),
      inexact: Number(row.inexact),
      outside: Number(row.outside),
    };
  } catch (error) {
    throw postgresFailure(error, 'purge', 'comparing the partition with the run');
  }
}

function digestSql({ schema, table, columns, manifest }: DigestTarget): string {
  const row = freeAlias(columns);
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const exact = exactRows(columns, manifest.columns, row).conditions;
  const inside = manifest.window === undefined ? [] : withinBounds(`${row}.${quoteIdentifier(manifest.window.column)}`);
  // Without OFFSET, the digest would be made anew for each of its halves.
  return `SELECT pg_catalog.count(*)::pg_catalog.text AS rows,
  COALESCE(pg_catalog.sum(${half(1)}), 0)::pg_catalog.text AS first, COALESCE(pg_catalog.sum(${half(9)}), 0)::pg_catalog.text AS second,
  pg_catalog.count(*) FILTER (WHERE d.exact IS NOT TRUE)::pg_catalog.text AS inexact,
  pg_catalog.count(*) FILTER (WHERE d.inside IS NOT TRUE)::pg_catalog.text AS outside
FROM (
  SELECT ${digestOf(row)} AS digest, ${allOf(exact)} AS exact, ${allOf(inside)} AS inside
  FROM (SELECT ${names} FROM ${quoteTableName({ schema, table })}) AS ${row}
  OFFSET 0
) AS d`;
}

function half(from: number): string {
  return `('x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substr(d.digest, ${from}, 8), 'hex'))::pg_catalog.bit(64)::pg_catalog.int8`;
}

function allOf(conditions: readonly string[]): string {
  return conditions.length === 0 ? 'true' : `(${conditions.join(' AND ')})`;
}

/** The type of the column decides how the bounds are read, which have the form of that type. */
function withinBounds(column: string): string[] {
  return [`${column} OPERATOR(pg_catalog.>=) $1`, `${column} OPERATOR(pg_catalog.<) $2`];
}

/** Empty where it holds the rows of the run, and those alone. */
export function describeDifference(found: PartitionDigest, wanted: LineSums): string {
  if (found.outside > 0) return `${found.outside} of its rows do not lie in the window`;
  if (found.rows !== wanted.rows) return `it has ${found.rows} rows, the run has ${wanted.rows}`;
  const isSame = found.first === wanted.first && found.second === wanted.second;
  return isSame ? '' : `of its ${found.rows} rows, not all are those of the run`;
}
