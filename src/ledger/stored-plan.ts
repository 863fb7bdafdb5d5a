/** The plan of a run as it lies in its folder: with its segments, wherever they lie, or with none of them held. */
import { createHash } from 'node:crypto';
import type { PutResult, Replaces } from '../store/store.ts';
import { badDocument, type DocumentKind, type Listed } from './documents.ts';
import {
  describeLayout,
  PLAN,
  SEGMENTS_TWICE,
  type JournalPlan,
  type PlanDocument,
  type PlanOutline,
} from './journal.ts';
import { planKey, runPrefix, segmentsKey } from './names.ts';
import { putDocument, putSealed, requireOwn, sealDocument, type RunPlace } from './own-documents.ts';
import { packed, SegmentList } from './segment-list.ts';
import { describeMisfit, type CutBy, type PlannedSegment, type PlannedSegments } from './segments.ts';
import { lieApart, SEGMENTS, SEGMENTS_FORMAT, type SegmentsApart, type SegmentsRef } from './segments-apart.ts';
import { SignedReader } from './signed-reader.ts';

/** A plan as it lies there, with the ETag by which it can be replaced. */
export interface StoredPlan {
  plan: JournalPlan;
  etag: string;
}

/** Segments that lie apart already, so that a plan with the same ones does not bring them again. */
export type KnownSegments = WeakMap<PlannedSegments, SegmentsRef>;

/** The plan; undefined when there is none. Throws FailureError for one that cannot be believed, or that is too large. */
export async function readPlan(
  place: RunPlace,
  known: KnownSegments,
  mostBytes = PLAN.maxBytes,
): Promise<StoredPlan | undefined> {
  const here = new SegmentList();
  const found = await scanList(place, PLAN, planKey(place.archive, place.run), { list: here, mostBytes });
  if (found === undefined) return undefined;
  const { segmentsIn, ...plan } = found.document;
  if (segmentsIn === undefined) {
    requireFit(PLAN, urlOfPlan(place), plan.by, here);
    return { plan: withSegments(place, plan, here), etag: found.etag };
  }
  if (found.items > 0) throw badDocument(PLAN, urlOfPlan(place), `segments${SEGMENTS_TWICE}`);
  const list = new SegmentList();
  const apart = await scanApart(place, plan, segmentsIn, { list, mostBytes });
  if (apart === undefined) return withoutSegments(place, found.etag, () => readPlan(place, known, mostBytes));
  const whole = withSegments(place, plan, list);
  known.set(whole.segments, segmentsIn);
  return { plan: whole, etag: found.etag };
}

/**
 * The plan, and how many segments it has, none of which is held. How they fit together is looked at by {@link readPlan}.
 * Throws FailureError for one that cannot be believed.
 */
export async function readOutline(place: RunPlace): Promise<PlanOutline | undefined> {
  const found = await scanList(place, PLAN, planKey(place.archive, place.run));
  if (found === undefined) return undefined;
  const { segmentsIn, ...plan } = found.document;
  if (segmentsIn === undefined) return { ...plan, segments: { length: found.items } };
  const apart = await scanApart(place, plan, segmentsIn);
  if (apart === undefined) return withoutSegments(place, found.etag, () => readOutline(place));
  if (found.items > 0) throw badDocument(PLAN, urlOfPlan(place), `segments${SEGMENTS_TWICE}`);
  return { ...plan, segments: { length: apart.items } };
}

/** Whose the plan is; no segment is held, or looked for elsewhere. Throws FailureError for one that cannot be believed. */
export async function readOwner(
  place: RunPlace,
): Promise<Pick<JournalPlan, 'owner' | 'host' | 'committing'> | undefined> {
  return (await scanList(place, PLAN, planKey(place.archive, place.run)))?.document;
}

/** Writes the plan; with `replaces`, only over nothing or over that plan. Many segments lie apart, and do so before it names them. */
export async function writePlan(
  place: RunPlace,
  known: KnownSegments,
  plan: JournalPlan,
  replaces?: Replaces,
  hasLooked = false,
): Promise<PutResult> {
  const document = await withoutMany(place, known, plan);
  return putDocument(place, PLAN, document, planKey(place.archive, place.run), replaces, hasLooked);
}

/** The ETag of the plan that lies there; undefined when there is none. */
export async function planEtag({ store, archive, run }: RunPlace): Promise<string | undefined> {
  return (await store.head(planKey(archive, run)))?.etag;
}

async function withoutMany(place: RunPlace, known: KnownSegments, plan: JournalPlan): Promise<Listed<PlanDocument>> {
  const { store, archive, run } = place;
  const { by, segments } = plan;
  const there = known.get(segments);
  if (there !== undefined) return { ...plan, segments: [], segmentsIn: there };
  if (!lieApart(segments)) return plan;
  const document: Listed<SegmentsApart> = { format: SEGMENTS_FORMAT, archive, run, by, segments };
  // What its name is, only its bytes tell.
  const content = sealDocument(place, SEGMENTS, document, runPrefix(archive, run));
  const segmentsIn = { sha256: content.sha256, bytes: content.bytes };
  await putSealed(store, segmentsKey(archive, run, segmentsIn.sha256), content);
  known.set(segments, segmentsIn);
  return { ...plan, segments: [], segmentsIn };
}

/** The segments of a plan that lie apart; undefined when they are not there. Throws FailureError. */
async function scanApart(
  place: RunPlace,
  plan: Pick<JournalPlan, 'by'>,
  ref: SegmentsRef,
  scanning?: Scanning,
): Promise<{ items: number } | undefined> {
  const key = segmentsKey(place.archive, place.run, ref.sha256);
  const apart = await scanList(place, SEGMENTS, key, scanning);
  if (apart === undefined) return undefined;
  requireNamed(place.store.url + key, apart, ref);
  if (scanning !== undefined) requireFit(SEGMENTS, place.store.url + key, apart.document.by, scanning.list);
  requireSameCut(place.store.url + key, apart.document, plan);
  return apart;
}

/** When the segments that a plan names are not there. They go with the plan when somebody commits the run: then it is looked for anew. */
async function withoutSegments<T>(place: RunPlace, etag: string, again: () => Promise<T>): Promise<T> {
  if ((await planEtag(place)) !== etag) return again();
  throw badDocument(PLAN, urlOfPlan(place), 'the segments that it names are not there');
}

/** Segments that a document has must be a cut of the kind that it says. */
function requireFit(kind: DocumentKind<unknown>, url: string, by: CutBy, segments: PlannedSegments): void {
  const misfit = describeMisfit({ by, segments });
  if (misfit !== undefined) throw badDocument(kind, url, `segments${misfit}`);
}

function withSegments(place: RunPlace, plan: Omit<JournalPlan, 'segments'>, segments: SegmentList): JournalPlan {
  const whole = { ...plan, segments: packed(segments) };
  const problem = describeLayout(whole);
  if (problem === undefined) return whole;
  throw badDocument(PLAN, urlOfPlan(place), `segments${problem}`);
}

/** Where the items are put, if they are to be held, and how long the document may be. */
interface Scanning {
  list: SegmentList;
  mostBytes: number;
}

/** A document without the items of its long list, and how many there are; each says that it is the next one. */
async function scanList<T extends { archive: string; run: string }>(
  place: RunPlace,
  kind: DocumentKind<T>,
  key: string,
  scanning?: Scanning,
): Promise<(SegmentsRef & { document: T; items: number; etag: string }) | undefined> {
  const { store } = place;
  const url = store.url + key;
  const digest = createHash('sha256');
  let [bytes, items] = [0, 0];
  const reader = new SignedReader(kind, url, (item) => {
    const segment = item as PlannedSegment;
    if (segment.index !== items) throw badDocument(kind, url, `segments[${items}]: its index is ${segment.index}`);
    scanning?.list.add(segment);
    items += 1;
  });
  const found = await store.scan(key, Math.min(kind.maxBytes, scanning?.mostBytes ?? kind.maxBytes), (piece) => {
    digest.update(piece);
    bytes += piece.length;
    reader.write(piece);
  });
  if (found === undefined) return undefined;
  const document = reader.end(store.signing);
  requireOwn(place, kind, document, url);
  return { document, items, etag: found.etag, sha256: digest.digest('hex'), bytes };
}

function urlOfPlan({ store, archive, run }: RunPlace): string {
  return store.url + planKey(archive, run);
}

/** Segments that lie apart must be those that the plan names. */
function requireNamed(url: string, there: SegmentsRef, named: SegmentsRef): void {
  if (there.bytes !== named.bytes || there.sha256 !== named.sha256)
    throw badDocument(SEGMENTS, url, 'it is not the one that the plan names');
}

function requireSameCut(url: string, apart: Pick<JournalPlan, 'by'>, plan: Pick<JournalPlan, 'by'>): void {
  if (apart.by !== plan.by) throw badDocument(SEGMENTS, url, `it is cut by ${apart.by}, and the plan by ${plan.by}`);
}
