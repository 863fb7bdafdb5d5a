/** Compares what was archived with what the server itself says of the rows, under the same snapshot, before the commit. */
import { fail, toFailure } from '../base/errors.ts';
import { formatCount } from '../base/units.ts';
import type { RowDigest } from '../postgres/row-digest.ts';
import { isSameSnapshot } from '../postgres/snapshot.ts';
import type { Receipt } from '../ledger/receipts.ts';
import { narrowTo } from '../segment/narrow.ts';
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
  const isComparable = ({ snapshot, lineDigest }: Receipt): boolean =>
    lineDigest !== undefined && isSameSnapshot(snapshot, session.snapshot);
  let [compared, rows] = [0, 0];
  for (const receipt of done.values()) {
    if (!isComparable(receipt)) continue;
    compared += 1;
    rows += receipt.rows;
  }
  if (compared === plan.segments.length) {
    compare(run, 'the source', archivedDigest(done.values()), await session.view.digest(plan.subject.selection, {}));
  } else {
    for (const receipt of done.values()) if (isComparable(receipt)) await verifySegment(run, attempt, receipt);
    run.log.warn(
      { segments: plan.segments.length, compared },
      'segments that an earlier try has read cannot be compared with the source: their snapshot is gone',
    );
  }
  run.log.info({ rows, seconds: (performance.now() - started) / 1000 }, 'archive compared with its source: equal');
}

async function verifySegment(run: Run, { session, plan }: Attempt, receipt: Receipt): Promise<void> {
  const segment = plan.segments.at(receipt.segment);
  if (segment === undefined) throw new Error(`there is no segment ${receipt.segment}`);
  const theirs = await session.view.digest(plan.subject.selection, narrowTo(plan.cut.parts, segment));
  compare(run, `segment ${receipt.segment}`, archivedDigest([receipt]), theirs);
}

function archivedDigest(receipts: Iterable<Receipt>): RowDigest {
  const digest = { rows: 0, sum: 0n };
  for (const { rows, lineDigest } of receipts) {
    digest.rows += rows;
    digest.sum = BigInt.asUintN(64, digest.sum + BigInt(lineDigest ?? 0));
  }
  return digest;
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
