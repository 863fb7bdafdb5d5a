/** The end of a run: all segments are there, strays are removed, the manifest is written, the journal goes. */
import { fail, toFailure } from '../base/errors.ts';
import type { Manifest } from '../ledger/manifest.ts';
import { fullKey } from '../ledger/names.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { Attempt } from './attempt.ts';
import { buildManifest } from './build-manifest.ts';
import type { Run } from './run.ts';

/** Commits a run. Throws FailureError, and then nothing is committed. */
export async function commitRun(run: Run, attempt: Attempt): Promise<Manifest> {
  const { folder } = run;
  const { session, plan, journal } = attempt;
  const receipts = requireAll(attempt);
  const manifest = buildManifest({
    archive: folder.archive,
    run: folder.run,
    plan,
    source: session.identity,
    snapshot: receipts.at(-1)?.snapshot ?? session.snapshot,
    receipts,
    fullKey: (key) => fullKey(run.destination, key),
    startedAt: journal.startedAt,
  });
  await requireOwnership(run, attempt);
  await folder.removeStrays(new Set(receipts.map((receipt) => receipt.key)));
  await folder.commit(manifest);
  try {
    await folder.clearJournal();
  } catch (error) {
    run.log.warn(
      { failure: toFailure(error, 'journal') },
      'the run is committed, but its journal could not be removed',
    );
  }
  return manifest;
}

/**
 * The lock is one source server's; two daemons that read different servers and write to one place do not see each other's.
 * So before anything is removed or committed, the journal must still be the one that this run wrote.
 */
async function requireOwnership({ folder }: Run, { journal }: Attempt): Promise<void> {
  const isCommitted = await folder.isCommitted();
  const found = await folder.plan();
  if (!isCommitted && found?.plan.owner === journal.owner) return;
  throw fail('already-committed', {
    stage: 'commit',
    message: `${folder.manifestUrl}: somebody else has ${isCommitted ? 'committed this run' : 'taken this run up'} meanwhile`,
  });
}

/** The plan and the receipts must match one to one before a manifest may name them. In the order of the segments. */
function requireAll({ plan, done }: Attempt): Receipt[] {
  const receipts = plan.segments.flatMap(({ index }) => done.get(index) ?? []);
  if (receipts.length === plan.segments.length) return receipts;
  throw fail('segment-missing', {
    stage: 'commit',
    message: `${receipts.length} of ${plan.segments.length} segments have a receipt; the run is not committed`,
  });
}
