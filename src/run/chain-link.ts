/**
 * Where a run that is about to be committed stands in the chain of its archive. The head is read, replaced by one that names the
 * manifest, and only then is that written: so a head may name a manifest that is not there yet, or will never be.
 */
import {
  headOf,
  isSameLink,
  MOST_PASSED_OVER,
  readHead,
  writeHead,
  type ChainFields,
  type Head,
  type PassedOver,
} from '../ledger/chain.ts';
import { RunFolder } from '../ledger/run-folder.ts';
import type { Replaces } from '../store/store.ts';
import type { Run } from './run.ts';

export interface Link {
  fields: ChainFields;
  /** The head that this was read from. */
  head: Head | undefined;
  /** What the next head is to be put in the place of. */
  replaces: Replaces;
}

/**
 * The place of the run behind what the head names. `sha256` is the manifest that the run has said it is committing, when there
 * is one. Throws FailureError for a head that cannot be believed.
 */
export async function findLink({ folder, log }: Pick<Run, 'folder' | 'log'>, sha256?: string): Promise<Link> {
  const { store, archive, run } = folder;
  const found = await readHead(store, archive, false);
  if (found === undefined) return { fields: { previous: null }, head: undefined, replaces: 'nothing' };
  const { head, etag } = found;
  const link = { head, replaces: etag };
  const isOwn = head.run === run;
  const latest = new RunFolder(store, archive, head.run);
  const afterLatest = { ...link, fields: { previous: { run: head.run, sha256: head.sha256 } } };
  if (isOwn && head.sha256 === sha256) return { ...link, fields: behind(head, []) };
  if (!isOwn && (await latest.isCommitted())) return afterLatest;
  // Of one that is being committed, the plan says so; else its manifest was there and is not any more.
  const planned = !isOwn && (await latest.isPlanned());
  // Or it was committed between the two questions, and its plan removed.
  if (!isOwn && !planned && (await latest.isCommitted())) return afterLatest;
  const lost = { run: head.run, sha256: head.sha256, planned };
  if (planned) log.warn({ run: head.run }, 'the run before this one was not committed: the chain passes it over');
  else
    log.error(
      { lost },
      `the manifest of run ${head.run} is not there, though it was the latest one: look at what pgsluice verify ${archive} --chain says`,
    );
  return { ...link, fields: behind(head, [lost]) };
}

/** Whether the run has that place already. */
export function isLinked(fields: Partial<ChainFields>, { fields: wanted }: Link): boolean {
  const [has, wants] = [fields.passedOver ?? [], wanted.passedOver ?? []];
  return (
    fields.previous !== undefined &&
    isSameLink(fields.previous, wanted.previous) &&
    has.length === wants.length &&
    wants.every((one, at) => isSameLink(one, has[at]) && one.planned === has[at]?.planned)
  );
}

/**
 * Makes the run the head of the chain: from then on its manifest may be written. Returns false when the head is not any more what
 * it was, so that the run has another place.
 */
export async function advanceHead({ store, archive, run }: RunFolder, link: Link, sha256: string): Promise<boolean> {
  const { previous, passedOver } = link.fields;
  if (isSameLink(link.head, { run, sha256 })) return true;
  const skipped = passedOver === undefined ? {} : { passedOver };
  const head = headOf({ archive, run, sha256, before: previous, ...skipped });
  return (await writeHead(store, head, link.replaces)).outcome === 'written';
}

/** Puts the head back that was there before: the run turned out to be committed with another manifest, which stands in the chain. */
export async function takeHeadBack({ store, archive, run }: RunFolder, { head }: Link, sha256: string): Promise<void> {
  const found = await readHead(store, archive, false);
  if (head !== undefined && found !== undefined && isSameLink(found.head, { run, sha256 }))
    await writeHead(store, head, found.etag);
}

function behind({ before, passedOver = [] }: Head, more: readonly PassedOver[]): ChainFields {
  const all = [...passedOver, ...more].slice(-MOST_PASSED_OVER);
  return { previous: before, ...(all.length === 0 ? {} : { passedOver: all }) };
}
