/** The end of a run: all segments are there, strays are removed, the manifest is written, the journal goes. */
import { fail, toFailure } from '../base/errors.ts';
import { clearJournal, readPlan, removeStrays, type Receipt } from '../ledger/journal.ts';
import { fullKey, manifestKey } from '../ledger/names.ts';
import { commitManifest, type Manifest } from '../ledger/manifest.ts';
import { buildManifest } from './build-manifest.ts';
import type { Work } from './resume.ts';
import type { Run } from './run.ts';
import type { Session } from './session.ts';

/** Commits a run. Throws FailureError, and then nothing is committed. */
export async function commitRun(run: Run, session: Session, work: Work): Promise<Manifest> {
  const { store, archive, id } = run;
  const receipts = requireAll(work);
  const manifest = buildManifest({
    archive: archive.name,
    run: id,
    plan: work.plan,
    source: session.identity,
    snapshot: receipts.at(-1)?.snapshot ?? session.snapshot,
    receipts,
    fullKey: (key) => fullKey(run.destination, key),
    startedAt: work.journal.startedAt,
  });
  await requireOwnership(run, work);
  await removeStrays(store, archive.name, id, new Set(receipts.map((receipt) => receipt.key)));
  await commitManifest(store, manifest);
  try {
    await clearJournal(store, archive.name, id);
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
async function requireOwnership({ store, archive, id }: Run, { journal }: Work): Promise<void> {
  const committed = await store.head(manifestKey(archive.name, id));
  const found = await readPlan(store, archive.name, id);
  if (committed === undefined && found?.owner === journal.owner) return;
  throw fail('already-committed', {
    stage: 'commit',
    message: `${store.url}${manifestKey(archive.name, id)}: somebody else has ${committed === undefined ? 'taken this run up' : 'committed this run'} meanwhile`,
  });
}

/** The plan and the receipts must match one to one before a manifest may name them. In the order of the segments. */
function requireAll({ plan, done }: Work): Receipt[] {
  const receipts = plan.segments.flatMap(({ index }) => done.get(index) ?? []);
  if (receipts.length === plan.segments.length) return receipts;
  throw fail('segment-missing', {
    stage: 'commit',
    message: `${receipts.length} of ${plan.segments.length} segments have a receipt; the run is not committed`,
  });
}
