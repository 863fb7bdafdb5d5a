/**
 * Takes a partition out of its table, and out of the database. Whatever ends it, no row is gone that was not compared under the
 * lock that removes it; and what is half done is told by the catalogue.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../../base/errors.ts';
import type { Client } from '../../postgres/connect.ts';
import { postgresFailure, sqlStateOf } from '../../postgres/errors.ts';
import { quoteIdentifier, quoteLiteral, quoteTableName } from '../../postgres/identifiers.ts';
import { setAllForTransaction } from '../../postgres/settings.ts';
import { Refused } from '../endings.ts';
import { problem } from '../preflight.ts';
import type { PartitionPatience, PartitionStep } from '../request.ts';
import { nameHolders, nameOldSnapshots } from './blockers.ts';
import { findPartition, listPartitions, type FoundPartition, type PartitionRow, type PartitionState } from './find.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const LOCKED: ReadonlySet<string> = new Set([LOCK_NOT_AVAILABLE, '40P01', '40001']);
const REFERENCED = '23503';
/** A detach is pending, or there is a default partition. */
const NOT_IN_THIS_STATE = '55000';
const DEPENDED_ON = '2BP01';
/** Between two tries, those who wait behind us get their turn. */
const BETWEEN_TRIES_MS = 200;
/** How often it is begun anew, where others wait for the partition. */
const MOST_BEGINNINGS = 3;

export interface Removal {
  client: Client;
  table: { schema: string; name: string; oid: number };
  partition: Pick<FoundPartition, 'oid' | 'schema' | 'name'>;
  /** Its bound, as the server prints it, and the same as the window of the run has it. */
  bound: string;
  window: { from: string; to: string };
  then: 'drop' | 'detach';
  /** The names of CHECK constraints that it had before. */
  checks: readonly string[];
  patience: PartitionPatience;
  /** Throws OtherRows where it holds other rows than the run. To be called under the lock that keeps them as they are. */
  requireSame: () => Promise<void>;
  onStep: (step: PartitionStep) => void;
  /** Throws when it is to be broken off. */
  checkpoint: () => void;
}

/** The partition holds other rows than the run, or such as cannot go. */
export class OtherRows extends Error {}

export async function stateOf({ client, table, partition, bound }: Removal): Promise<PartitionState> {
  return (await findPartition(client, table.oid, bound, partition.oid)).own?.state ?? 'gone';
}

/** Detaches it while others go on. Resolves to whether it is detached: where there is a default partition, that is not possible. */
export async function detachConcurrently(removal: Removal): Promise<boolean> {
  const { client, patience } = removal;
  for (let tries = 1; ; tries += 1) {
    removal.checkpoint();
    const before = await listPartitions(client, removal.table.oid);
    try {
      removal.onStep('detaching');
      await setLockTimeout(client, patience.detachMs);
      await client.query(`ALTER TABLE ${tableOf(removal)} DETACH PARTITION ${nameOf(removal)} CONCURRENTLY`);
      await requireOwn(removal, before);
      return true;
    } catch (error) {
      const code = sqlStateOf(error);
      if (LOCKED.has(code)) await requireOwn(removal, before);
      if (code === REFERENCED) throw referenced(removal);
      if (code === NOT_IN_THIS_STATE) return await afterRefusal(removal, error);
      if (!LOCKED.has(code)) throw postgresFailure(error, 'purge', `detaching ${nameOf(removal)}`);
      const state = await stateOf(removal);
      if (state === 'pending') await finalize(removal);
      if (state !== 'attached') return true;
      if (tries >= patience.tries) throw await blocked(removal, 'is as it was');
      await sleep(BETWEEN_TRIES_MS);
    }
  }
}

/**
 * No lock can be held over a concurrent detach, so that it goes by a name that may be another partition's by then. That one is made
 * a partition again, with the bound that it had. Throws FailureError.
 */
async function requireOwn(removal: Removal, before: readonly PartitionRow[]): Promise<void> {
  const { client, table, partition } = removal;
  const oid = await oidOf(client, partition);
  const other = oid === partition.oid ? undefined : before.find((row) => row.oid === oid && !row.pending);
  if (other === undefined) return;
  const now = (await listPartitions(client, table.oid)).find((row) => row.oid === other.oid);
  if (now !== undefined && !now.pending) return;
  const wrong = { ...removal, partition: { ...partition, oid: other.oid }, bound: other.bound ?? '' };
  if (now?.pending === true) await finalize(wrong);
  await attach(wrong, other.bound ?? '');
  const message = `${nameOf(removal)} was another partition when it was detached; that one is a partition again`;
  throw fail('purge-table-changed', { stage: 'purge', message });
}

/** Why the server does not detach concurrently. */
async function afterRefusal({ client, table, partition, bound }: Removal, error: unknown): Promise<boolean> {
  const { otherPending } = await findPartition(client, table.oid, bound, partition.oid);
  const [other] = otherPending;
  if (other !== undefined)
    throw new Refused([problem('partition-pending', `${other} is half detached, and not by this purge`)]);
  const { rows } = await client.query<{ has: boolean }>(
    `SELECT p.partdefid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AS has FROM pg_catalog.pg_partitioned_table p
     WHERE p.partrelid OPERATOR(pg_catalog.=) $1`,
    [table.oid],
  );
  if (rows[0]?.has === true) return false;
  throw postgresFailure(
    error,
    'purge',
    `detaching ${quoteTableName({ schema: partition.schema, table: partition.name })}`,
  );
}

/** Ends a detach that was begun, by us alone: until then, nobody sees its rows. Throws FailureError `partition-blocked`. */
export async function finalize(removal: Removal): Promise<void> {
  const { client, patience } = removal;
  for (let tries = 1; ; tries += 1) {
    try {
      removal.onStep('detaching');
      await setLockTimeout(client, patience.detachMs);
      await client.query(`ALTER TABLE ${tableOf(removal)} DETACH PARTITION ${nameOf(removal)} FINALIZE`);
      return;
    } catch (error) {
      // A backend of ours that was taken for dead may have ended it.
      if ((await stateOf(removal)) !== 'pending') return;
      if (!LOCKED.has(sqlStateOf(error))) throw postgresFailure(error, 'purge', `detaching ${nameOf(removal)}`);
      if (tries >= patience.tries) throw await blocked(removal, 'is half detached, and nobody sees its rows');
    }
    removal.checkpoint();
  }
}

/** Of a detached one: compares it under the lock, and drops it. Throws OtherRows, with it as it was. */
export async function settle(removal: Removal): Promise<void> {
  const { client, then, patience } = removal;
  await lockAndCompare(removal, then === 'drop' ? 'ACCESS EXCLUSIVE' : 'EXCLUSIVE', 'comparing again');
  if (then === 'drop') {
    removal.onStep('dropping');
    await client.query('SAVEPOINT compared');
    for (let tries = 1; ; tries += 1) {
      try {
        await setLockTimeout(client, patience.shortMs, true);
        await drop(removal);
        break;
      } catch (error) {
        await client.query('ROLLBACK TO SAVEPOINT compared').catch(() => undefined);
        const isLocked = LOCKED.has(sqlStateOf(error)) && tries < patience.tries;
        if (!isLocked) throw await rolledBack(removal, error);
        await sleep(BETWEEN_TRIES_MS);
      }
    }
  }
  await commit(removal);
}

/**
 * In one transaction: where there is a default partition, a late row would go there once this one is detached, and it could never be
 * attached again. It is locked so that it may be read and not be written; for the rest, nobody waits longer than a moment.
 */
export async function removeAtOnce(removal: Removal): Promise<void> {
  for (let beginnings = 1; ; beginnings += 1) {
    removal.checkpoint();
    await lockAndCompare(removal, 'EXCLUSIVE', 'comparing');
    if (await detachWhereNobodyWaits(removal)) return;
    await removal.client.query('ROLLBACK');
    // A row that came late: it is let in, and found.
    if (beginnings >= MOST_BEGINNINGS) throw await blocked(removal, 'is as it was');
    await sleep(BETWEEN_TRIES_MS);
  }
}

/** Resolves to false when somebody waits for the partition: he has a lock on its table, and we would wait for each other. */
async function detachWhereNobodyWaits(removal: Removal): Promise<boolean> {
  const { client, patience, then } = removal;
  removal.onStep('detaching');
  await client.query('SAVEPOINT compared');
  for (let tries = 1; ; tries += 1) {
    if (await isWaitedFor(removal)) return false;
    try {
      await setLockTimeout(client, patience.shortMs, true);
      await client.query(`ALTER TABLE ${tableOf(removal)} DETACH PARTITION ${nameOf(removal)}`);
      if (then === 'drop') {
        removal.onStep('dropping');
        await drop(removal);
      }
      await commit(removal);
      return true;
    } catch (error) {
      await client.query('ROLLBACK TO SAVEPOINT compared').catch(() => undefined);
      const isLocked = LOCKED.has(sqlStateOf(error));
      if (!isLocked) throw await rolledBack(removal, error);
      if (tries >= patience.tries) {
        const failure = await blocked(removal, 'is as it was');
        throw await rolledBack(removal, failure);
      }
      await sleep(BETWEEN_TRIES_MS);
    }
  }
}

async function isWaitedFor({ client }: Removal): Promise<boolean> {
  const { rows } = await client.query<{ waits: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks w WHERE NOT w.granted
       AND pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(w.pid))) AS waits`,
  );
  return rows[0]?.waits === true;
}

/** Begins the transaction that ends with COMMIT or ROLLBACK. */
async function lockAndCompare(
  removal: Removal,
  mode: 'ACCESS EXCLUSIVE' | 'EXCLUSIVE',
  step: PartitionStep,
): Promise<void> {
  const { client, patience, partition } = removal;
  for (let tries = 1; ; tries += 1) {
    removal.checkpoint();
    removal.onStep(step);
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
    try {
      await setAllForTransaction(client, { lock_timeout: `${patience.detachMs}ms` });
      await client.query(`LOCK TABLE ${nameOf(removal)} IN ${mode} MODE`);
      // By its name, another one may have been locked.
      if ((await oidOf(client, partition)) !== partition.oid)
        throw fail('purge-table-changed', { stage: 'purge', message: `${nameOf(removal)} is another table by now` });
      await removal.requireSame();
      return;
    } catch (error) {
      const failure = await rolledBack(removal, error);
      if (!LOCKED.has(sqlStateOf(error))) throw failure;
      if (tries >= patience.tries) throw await blocked(removal, await howItStands(removal));
    }
  }
}

/** Under its lock, by which nobody else can have the name meanwhile. */
async function drop(removal: Removal): Promise<void> {
  const { client, partition } = removal;
  await client.query(`DROP TABLE ${nameOf(removal)}`);
  const { rows } = await client.query(`SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) $1`, [
    partition.oid,
  ]);
  if (rows.length > 0)
    throw fail('purge-table-changed', {
      stage: 'purge',
      message: `${nameOf(removal)} was another table when it was dropped`,
    });
}

async function commit(removal: Removal): Promise<void> {
  try {
    await removal.client.query('COMMIT');
  } catch (error) {
    throw postgresFailure(error, 'purge', `committing that ${nameOf(removal)} is removed`);
  }
}

/** Makes it a partition again. The CHECK that a concurrent detach has left proves its rows, and goes then. Throws FailureError. */
export async function attachAgain(removal: Removal): Promise<void> {
  const { from, to } = removal.window;
  await attach(removal, `FOR VALUES FROM (${quoteLiteral(from)}) TO (${quoteLiteral(to)})`);
}

/** `values` say its bound in SQL. */
async function attach(removal: Removal, values: string): Promise<void> {
  const { client, patience, bound } = removal;
  for (let tries = 1; ; tries += 1) {
    removal.onStep('attaching again');
    try {
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
      await setAllForTransaction(client, { lock_timeout: `${patience.detachMs}ms` });
      await client.query(`ALTER TABLE ${tableOf(removal)} ATTACH PARTITION ${nameOf(removal)} ${values}`);
      const checks = await checksOfDetach(removal);
      for (const check of checks)
        await client.query(`ALTER TABLE ${nameOf(removal)} DROP CONSTRAINT ${quoteIdentifier(check)}`);
      if ((await stateOf(removal)) !== 'attached')
        throw fail('internal', {
          stage: 'purge',
          message: `${nameOf(removal)} would have another bound than ${bound}`,
        });
      await client.query('COMMIT');
      return;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      if (LOCKED.has(sqlStateOf(error)) && tries < patience.tries) continue;
      throw postgresFailure(error, 'purge', `making ${nameOf(removal)} a partition again`);
    }
  }
}

/** Constraints that came with the detach, and say what its bound says. */
async function checksOfDetach({ client, partition, checks }: Removal): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT r.conname AS name FROM pg_catalog.pg_constraint r
     WHERE r.conrelid OPERATOR(pg_catalog.=) $1 AND r.contype OPERATOR(pg_catalog.=) 'c' AND r.conislocal
       AND r.coninhcount OPERATOR(pg_catalog.=) 0
       AND pg_catalog.pg_get_constraintdef(r.oid) OPERATOR(pg_catalog.=)
         pg_catalog.concat('CHECK (', pg_catalog.pg_get_partition_constraintdef(r.conrelid), ')')
       AND r.conname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ($2::pg_catalog.text[])`,
    [partition.oid, checks],
  );
  return rows.map(({ name }) => name);
}

/** What is thrown for an error of a statement, after the transaction is rolled back. */
async function rolledBack(removal: Removal, error: unknown): Promise<unknown> {
  await removal.client.query('ROLLBACK').catch(() => undefined);
  const code = sqlStateOf(error);
  if (code === REFERENCED) return referenced(removal);
  if (code === DEPENDED_ON)
    return new Refused([
      problem('partition-depended-on', `something depends on ${nameOf(removal)} since it was looked at`),
    ]);
  if (error instanceof OtherRows || error instanceof Refused) return error;
  return code === '' ? error : postgresFailure(error, 'purge', `removing ${nameOf(removal)}`);
}

async function howItStands(removal: Removal): Promise<string> {
  return (await stateOf(removal)) === 'detached' ? 'is detached, and could not be locked' : 'is as it was';
}

function referenced(removal: Removal): Refused {
  return new Refused([problem('partition-referenced', `rows refer to rows of ${nameOf(removal)}`)]);
}

async function blocked({ client, table, partition }: Removal, how: string): Promise<Error> {
  const holders = await nameHolders(client, table.oid, partition.oid);
  const snapshots = holders.length > 0 ? [] : await nameOldSnapshots(client);
  const names = [...holders, ...snapshots];
  const whom = names.length === 0 ? 'somebody who is gone by now' : names.join(', ');
  const name = `${partition.schema}.${partition.name}`;
  return fail('partition-blocked', { stage: 'purge', message: `${name} ${how}: it would have to wait for ${whom}` });
}

async function oidOf(client: Client, { schema, name }: Removal['partition']): Promise<number | undefined> {
  const { rows } = await client.query<{ oid: number }>(
    `SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2`,
    [schema, name],
  );
  return rows[0]?.oid;
}

async function setLockTimeout(client: Client, ms: number, isLocal = false): Promise<void> {
  await client.query(`SELECT pg_catalog.set_config('lock_timeout', '${ms}ms', ${isLocal})`);
}

function tableOf({ table }: Removal): string {
  return quoteTableName({ schema: table.schema, table: table.name });
}

function nameOf({ partition }: Removal): string {
  return quoteTableName({ schema: partition.schema, table: partition.name });
}
