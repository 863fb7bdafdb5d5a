/** From a manifest to what is to be restored, in three steps: look at everything, refuse with all reasons at once, prepare. */
import type { Client } from '../postgres/connect.ts';
import { quoteTableName } from '../postgres/identifiers.ts';
import { defineTypes } from '../postgres/type-definitions.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { ConflictKey } from '../segment/restore/task.ts';
import type { RestoreColumn } from '../format/jsonl/forms.ts';
import { planColumns } from './columns.ts';
import { warnOfConstraints, warnOfSelfReferences } from './judge-constraints.ts';
import { conflictKey } from './judge-skip.ts';
import { conditionOf, type KeyFacts } from './keys.ts';
import { look, type RestoreFacts } from './look.ts';
import { markOwnTable } from './mark.ts';
import type { ObjectFacts, PlannedObjects } from './objects.ts';
import { prepare } from './prepare.ts';
import { warnOfPublications } from './publications.ts';
import type { RestoreRecord } from './record.ts';
import { Refusal } from './refusal.ts';
import { refuse, tellOfDropped, warn, warnOfAttributes, warnOfVersion } from './refuse.ts';
import type { RestoreRequest } from './request.ts';
import { warnOfSequences } from './sequences.ts';
import { warnOfSnapshots } from './snapshots.ts';
import type { Target } from './target.ts';

export interface RestorePlan {
  manifest: StoredManifest;
  target: Target;
  columns: RestoreColumn[];
  objects: PlannedObjects;
  /** How many they are, and their rows. */
  amounts: Pick<ObjectFacts, 'count' | 'rows'>;
  /** SQL condition on the rows; undefined for all. */
  where: string | undefined;
  keys: KeyFacts;
  /** What rows that are there already are told by; undefined unless they are passed over. */
  conflictKey: ConflictKey | undefined;
  record: RestoreRecord;
  /** Whether an earlier try has brought all of it; what is there of it was counted then, as the record was looked at. */
  isBack: boolean;
}

/**
 * `say` gets what should be known: before anything is written, but for what only a table that is made shows. Throws Refusal
 * when something stands against the restore, before anything is written; or FailureError.
 */
export async function planRestore(
  client: Client,
  folder: RunFolder,
  request: RestoreRequest,
  manifest: StoredManifest,
  say: (warnings: readonly string[]) => void,
): Promise<RestorePlan> {
  try {
    const facts = await look(client, folder, request, manifest);
    const problems = refuse(request, manifest, facts);
    if (problems.length > 0) throw new Refusal([...problems, ...tellOfDropped(facts)]);
    say(warnAhead(request, manifest, facts));
    await markOwnTable(client, folder, request, manifest);
    const { target, record } = await prepare(client, request, manifest, facts);
    const { columns, doubts } = await planColumns(client, manifest, target);
    if (facts.target === undefined) {
      const oids = target.columns.map(({ typeOid }) => typeOid);
      say(warnOfTarget(request, manifest, target, { ...facts, definitions: await defineTypes(client, oids) }));
    }
    say(doubts);
    return {
      manifest,
      target,
      columns,
      objects: facts.planned,
      amounts: facts.objects,
      where: conditionOf(facts.keys),
      keys: facts.keys,
      conflictKey: request.onConflict === 'skip' ? conflictKey(manifest, target) : undefined,
      record,
      isBack: record.resumed && record.done.size === facts.objects.count,
    };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw restoreFailure(error, `preparing the restore into ${quoteTableName(request.into)}`);
  }
}

/** What is known before anything is made. */
function warnAhead(request: RestoreRequest, manifest: StoredManifest, facts: RestoreFacts): string[] {
  return [
    ...(facts.target === undefined
      ? warnOfPublications(request.into, facts.publications)
      : warnOfTarget(request, manifest, facts.target, facts)),
    ...warnOfVersion(manifest, facts.place),
    ...warnOfSelfReferences(request, facts),
    ...warnOfSnapshots(manifest, quoteTableName(request.into)),
    ...facts.objects.warnings,
  ];
}

function warnOfTarget(
  request: RestoreRequest,
  manifest: StoredManifest,
  target: Target,
  facts: RestoreFacts,
): string[] {
  return [
    ...warn(request, target, facts),
    ...warnOfAttributes(manifest, target, facts.definitions),
    ...warnOfConstraints(target, facts.constraints, manifest),
    ...warnOfSequences(manifest, target),
  ];
}
