/** The plan of a run as it lies in its folder: with its segments, wherever they lie, or with none of them held. */
import { createHash, hash } from 'node:crypto';
import type { PutResult, Replaces } from '../store/store.ts';
import { badDocument, type DocumentKind } from './documents.ts';
import {
  describeLayout,
  PLAN,
  SEGMENTS_TWICE,
  type JournalPlan,
  type PlanDocument,
  type PlanOutline,
} from './journal.ts';
import { planKey, runPrefix, segmentsKey } from './names.ts';
import {
  JSON_OBJECT,
  openOwn,
  putDocument,
  readOwn,
  requireOwn,
  sealDocument,
  type RunPlace,
} from './own-documents.ts';
import type { PlannedSegment } from './segments.ts';
import { lieApart, SEGMENTS, SEGMENTS_FORMAT, type SegmentsApart, type SegmentsRef } from './segments-apart.ts';
import { SignedReader } from './signed-reader.ts';

/** A plan as it lies there, with the ETag by which it can be replaced. */
export interface StoredPlan {
  plan: JournalPlan;
  etag: string;
}

/** Segments that lie apart already, so that a plan with the same ones does not bring them again. */
export type KnownSegments = WeakMap<readonly PlannedSegment[], SegmentsRef>;

/** The plan; undefined when there is none. Throws FailureError for one that cannot be believed, or that is too large. */
export async function readPlan(
  place: RunPlace,
  known: KnownSegments,
  mostBytes = PLAN.maxBytes,
): Promise<StoredPlan | undefined> {
  const found = await readOwn(place, PLAN, planKey(place.archive, place.run), mostBytes);
  if (found === undefined) return undefined;
  const { segmentsIn, ...plan } = found.document;
  if (segmentsIn === undefined) return { plan, etag: found.etag };
  const segments = await readSegments(place, plan, segmentsIn, mostBytes);
  if (segments === undefined) return withoutSegments(place, found.etag, () => readPlan(place, known, mostBytes));
  known.set(segments, segmentsIn);
  return { plan: withSegments(place, plan, segments), etag: found.etag };
}

/**
 * The plan, and how many segments it has, none of which is held. How they fit together is looked at by {@link readPlan}.
 * Throws FailureError for one that cannot be believed.
 */
export async function readOutline(place: RunPlace): Promise<PlanOutline | undefined> {
  const { store, archive, run } = place;
  const found = await scanList(place, PLAN, planKey(archive, run));
  if (found === undefined) return undefined;
  const { segmentsIn, ...plan } = found.document;
  if (segmentsIn === undefined) return { ...plan, segments: { length: found.items } };
  const key = segmentsKey(archive, run, segmentsIn.sha256);
  const apart = await scanList(place, SEGMENTS, key);
  if (apart === undefined) return withoutSegments(place, found.etag, () => readOutline(place));
  requireNamed(store.url + key, apart, segmentsIn);
  requireSameCut(store.url + key, apart.document, plan);
  if (found.items > 0) throw badDocument(PLAN, urlOfPlan(place), `segments${SEGMENTS_TWICE}`);
  return { ...plan, segments: { length: apart.items } };
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

async function withoutMany(place: RunPlace, known: KnownSegments, plan: JournalPlan): Promise<PlanDocument> {
  const { store, archive, run } = place;
  const { by, segments } = plan;
  const there = known.get(segments);
  if (there !== undefined) return { ...plan, segments: [], segmentsIn: there };
  if (!lieApart(segments)) return plan;
  const document: SegmentsApart = { format: SEGMENTS_FORMAT, archive, run, by, segments };
  // What its name is, only its bytes tell.
  const body = sealDocument(place, SEGMENTS, document, runPrefix(archive, run));
  const segmentsIn = { sha256: hash('sha256', body), bytes: body.length };
  await store.put(segmentsKey(archive, run, segmentsIn.sha256), body, JSON_OBJECT);
  known.set(segments, segmentsIn);
  return { ...plan, segments: [], segmentsIn };
}

/** The segments of a plan that lie apart; undefined when they are not there. Throws FailureError. */
async function readSegments(
  place: RunPlace,
  plan: Pick<JournalPlan, 'by'>,
  ref: SegmentsRef,
  mostBytes: number,
): Promise<PlannedSegment[] | undefined> {
  const { store, archive, run } = place;
  const key = segmentsKey(archive, run, ref.sha256);
  const found = await store.get(key, Math.min(mostBytes, SEGMENTS.maxBytes));
  if (found === undefined) return undefined;
  requireNamed(store.url + key, { sha256: hash('sha256', found.body), bytes: found.body.length }, ref);
  const document = openOwn(place, SEGMENTS, found.body, key);
  requireSameCut(store.url + key, document, plan);
  return document.segments;
}

/** When the segments that a plan names are not there. They go with the plan when somebody commits the run: then it is looked for anew. */
async function withoutSegments<T>(place: RunPlace, etag: string, again: () => Promise<T>): Promise<T> {
  if ((await planEtag(place)) !== etag) return again();
  throw badDocument(PLAN, urlOfPlan(place), 'the segments that it names are not there');
}

function withSegments(place: RunPlace, plan: JournalPlan, segments: PlannedSegment[]): JournalPlan {
  const whole = { ...plan, segments };
  const problem = describeLayout(whole);
  if (problem === undefined) return whole;
  throw badDocument(PLAN, urlOfPlan(place), `segments${problem}`);
}

/** A document without the items of its long list, and how many there are; each says that it is the next one. */
async function scanList<T extends { archive: string; run: string }>(
  place: RunPlace,
  kind: DocumentKind<T>,
  key: string,
): Promise<(SegmentsRef & { document: T; items: number; etag: string }) | undefined> {
  const { store } = place;
  const url = store.url + key;
  const digest = createHash('sha256');
  let [bytes, items] = [0, 0];
  const reader = new SignedReader(kind, url, (item) => {
    const { index } = item as PlannedSegment;
    if (index !== items) throw badDocument(kind, url, `segments[${items}]: its index is ${index}`);
    items += 1;
  });
  const found = await store.scan(key, kind.maxBytes, (piece) => {
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
