/** Compares what was archived with what the server itself says of the rows, under the same snapshot, before the commit. */
import { fail, toFailure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import type { RowDigest } from '../postgres/row-digest.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { Attempt } from './attempt.ts';
import { disowned } from './journal-plan.ts';
import { replacePlan } from './ownership.ts';
import type { Run } from './run.ts';

const WITHOUT_SNAPSHOT_HINT =
  'Foreign tables may have changed since they were read, as no snapshot covers them: compare while nobody writes to them.';

/** Throws FailureError `source-mismatch` when the two differ. */
export async function verifySource(run: Run, attempt: Attempt): Promise<void> {
  try {
    await compareAll(run, attempt);
  } catch (error) {
    // The next try must not take these segments over: their snapshot would be gone, and nobody could compare them any more.
    if (toFailure(error, 'verify').code === 'source-mismatch') {
      await replacePlan(run.folder, attempt, disowned(attempt.journal));
    }
    throw error;
  }
}

async function compareAll(run: Run, attempt: Attempt): Promise<void> {
  const { session, plan, done } = attempt;
  const started = performance.now();
  const receipts = [...done.values()];
  const now = receipts.filter(({ snapshot }) => isSameSnapshot(snapshot, session.snapshot));
  const comparable = now.filter(({ lineDigest }) => lineDigest !== undefined);
  if (comparable.length === plan.segments.length) {
    compare(run, 'the source', archivedDigest(receipts), await session.view.digest(plan.subject.selection, {}));
  } else {
    for (const receipt of comparable) await verifySegment(run, attempt, receipt);
    run.log.warn(
      { segments: plan.segments.length, compared: comparable.length },
      'segments that an earlier try has read cannot be compared with the source: their snapshot is gone',
    );
  }
  const rows = comparable.reduce((sum, receipt) => sum + receipt.rows, 0);
  run.log.info({ rows, seconds: (performance.now() - started) / 1000 }, 'archive compared with its source: equal');
}

async function verifySegment(run: Run, { session, plan }: Attempt, receipt: Receipt): Promise<void> {
  const segment = plan.segments[receipt.segment];
  if (segment === undefined) throw new Error(`there is no segment ${receipt.segment}`);
  const theirs = await session.view.digest(plan.subject.selection, plan.cut.narrow(segment));
  compare(run, `segment ${receipt.segment}`, archivedDigest([receipt]), theirs);
}

function archivedDigest(receipts: readonly Receipt[]): RowDigest {
  return {
    rows: receipts.reduce((sum, { rows }) => sum + rows, 0),
    sum: receipts.reduce((sum, { lineDigest }) => BigInt.asUintN(64, sum + BigInt(lineDigest ?? 0)), 0n),
  };
}

function compare(run: Run, what: string, archived: RowDigest, source: RowDigest): void {
  if (archived.rows === source.rows && archived.sum === source.sum) return;
  const describe = ({ rows, sum }: RowDigest): string =>
    `${formatCount(rows)} rows with the digest ${sum.toString(16)}`;
  throw fail('source-mismatch', {
    stage: 'verify',
    archive: run.archive.name,
    message: `${what} is not what was archived: the server says ${describe(source)}, the archive has ${describe(archived)}; the run is not committed`,
    ...(run.archive.consistency === 'none' ? { hint: WITHOUT_SNAPSHOT_HINT } : {}),
  });
}
