/** Compares what was archived with what the server itself says of the rows, under the same snapshot, before the commit. */
import { fail, toFailure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import { terminateBackend } from '../postgres/cancel.ts';
import { backendPid, socketOf } from '../postgres/connect.ts';
import { postgresFailure } from '../postgres/errors.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { buildSelect, type Narrowing } from '../postgres/select.ts';
import { discardRun, removeStrays, type Receipt } from '../ledger/journal.ts';
import type { RunPlan } from './plan.ts';
import type { Work } from './resume.ts';
import type { Run } from './run.ts';
import { sessionName, type Session } from './session.ts';

/** Rows, and the sum of their digests modulo 2^64; see segment/line-digest.ts. */
interface Digest {
  rows: number;
  sum: bigint;
}

/** Throws FailureError `source-mismatch` when the two differ, and the signal's reason when it aborts. */
export async function verifySource(run: Run, session: Session, work: Work, signal: AbortSignal): Promise<void> {
  try {
    await compareAll(run, session, work, signal);
  } catch (error) {
    // The next try must not take these segments over: their snapshot would be gone, and nobody could compare them any more.
    if (toFailure(error, 'verify').code === 'source-mismatch') {
      await discardRun(run.store, run.archive.name, run.id);
      await removeStrays(run.store, run.archive.name, run.id, new Set());
    }
    throw error;
  }
}

async function compareAll(run: Run, session: Session, work: Work, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const receipts = [...work.done.values()];
  const now = receipts.filter((receipt) => receipt.snapshot.takenAt === session.snapshot.takenAt);
  const comparable = now.filter(({ lineDigest }) => lineDigest !== undefined);
  if (comparable.length === work.plan.segments.length) {
    compare(run, 'the source', archivedDigest(receipts), await askServer(run, session, work.plan, {}, signal));
  } else {
    for (const receipt of comparable) await verifySegment(run, session, work.plan, receipt, signal);
    run.log.warn(
      { segments: work.plan.segments.length, compared: comparable.length },
      'segments that an earlier try has read cannot be compared with the source: their snapshot is gone',
    );
  }
  const rows = comparable.reduce((sum, receipt) => sum + receipt.rows, 0);
  run.log.info({ rows, seconds: (performance.now() - started) / 1000 }, 'archive compared with its source: equal');
}

async function verifySegment(
  run: Run,
  session: Session,
  plan: RunPlan,
  receipt: Receipt,
  signal: AbortSignal,
): Promise<void> {
  const segment = plan.segments[receipt.segment];
  if (segment === undefined) throw new Error(`there is no segment ${receipt.segment}`);
  const { orderBy: _orderBy, ...narrowing } = plan.cut.narrow(segment);
  const ours = archivedDigest([receipt]);
  compare(run, `segment ${receipt.segment}`, ours, await askServer(run, session, plan, narrowing, signal));
}

function archivedDigest(receipts: readonly Receipt[]): Digest {
  return {
    rows: receipts.reduce((sum, { rows }) => sum + rows, 0),
    sum: receipts.reduce((sum, { lineDigest }) => BigInt.asUintN(64, sum + BigInt(lineDigest ?? 0)), 0n),
  };
}

/** A JSON value may hold line breaks between its parts, which the archive has as blanks. */
const LINE = String.raw`translate(row_to_json(t)::text, E'\n\r', '  ')`;

async function askServer(
  run: Run,
  { client }: Session,
  { subject }: RunPlan,
  narrowing: Narrowing,
  signal: AbortSignal,
): Promise<Digest> {
  const { text, params } = buildSelect(subject.source, narrowing, () => false);
  const names = subject.source.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const stop = (): void => {
    socketOf(client)?.destroy();
    void terminateBackend({ url: run.source.url, applicationName: sessionName(run.archive.name) }, backendPid(client));
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const { rows } = await client.query<{ rows: string; sum: string | null }>(
      `SELECT count(*) AS rows, sum(('x' || left(md5(${LINE}), 16))::bit(64)::int8)::text AS sum
       FROM (${text}) AS t${names === '' ? '' : `(${names})`}`,
      [...params],
    );
    return { rows: Number(rows[0]?.rows), sum: BigInt.asUintN(64, BigInt(rows[0]?.sum ?? 0)) };
  } catch (error) {
    signal.throwIfAborted();
    throw postgresFailure(error, 'verify', `asking for the digest of ${subject.name}`);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function compare(run: Run, what: string, archived: Digest, source: Digest): void {
  if (archived.rows === source.rows && archived.sum === source.sum) return;
  const describe = ({ rows, sum }: Digest): string => `${formatCount(rows)} rows with the digest ${sum.toString(16)}`;
  throw fail('source-mismatch', {
    stage: 'verify',
    archive: run.archive.name,
    message: `${what} is not what was archived: the server says ${describe(source)}, the archive has ${describe(archived)}; the run is not committed`,
  });
}
