/** What goes through the queue. All of it is data that somebody else may have written: of a declared form, and of a bounded size. */
import * as z from 'zod';
import { fail, type Failure } from '../../base/errors.ts';
import { FAILURES, type FailureCode } from '../../base/failures.ts';
import { count, ETAG_FIELD, hex, name, OBJECT_FIELDS, text } from '../../ledger/fields.ts';
import { segmentOfDataKey } from '../../ledger/names.ts';
import { plannedSegment } from '../../ledger/segments.ts';
import type { Part } from '../../segment/narrow.ts';
import type { StoreTrouble } from '../../store/trouble.ts';

/** A job may have no more bytes, as JSON: it is read and written again with each of its steps. */
export const MOST_JOB_BYTES = 8 * 1024;
/** A message from a host. Keys of a segment may be long, and a host speaks of each of its threads. */
const MOST_MESSAGE_BYTES = 1024 ** 2;
const MOST_TEXT_CHARS = 4000;
/** Tasks that one message speaks of. */
const MOST_TOGETHER = 64;
/** Backends, and uploads, that are told of a task: its latest. */
export const MOST_TRACES = 16;

/** Of the config that a job names: those of reloads while runs are in progress. */
export const MOST_GENERATIONS = 50;

const id = z.uuid();

/** One attempt at a segment. It names what it needs, holds no secret, and no value but the bounds of its rows. */
const job = z
  .strictObject({
    format: z.literal('pgsluice/job/1'),
    id,
    /** Who leads the run, and is told what becomes of it. */
    coordinator: id,
    archive: name().min(1),
    run: name().min(1),
    /** Of the config of who leads the run; and all those that a run of his still goes by, so that the others can be forgotten. */
    generation: count(),
    generations: z.array(count()).max(MOST_GENERATIONS),
    destination: name(),
    destinationDigest: hex(64),
    attempt: count(),
    part: plannedSegment,
    key: text(2048),
    token: hex(8).exactOptional(),
    replaces: name().exactOptional(),
    /** The document that the other segments of the run have as well. */
    shared: z.strictObject({ etag: name(), sha256: hex(64) }),
  })
  // So that who can write to the queue alone can have no manifest, journal or other archive overwritten.
  .refine(({ archive, run, key, part }) => segmentOfDataKey(archive, run, key) === part.index, { path: ['key'] });
export type Job = z.infer<typeof job>;

const facts = z.strictObject({
  key: text(2048),
  ...OBJECT_FIELDS,
  etag: ETAG_FIELD,
  lineDigest: text(100).exactOptional(),
});

const shortText = text(MOST_TEXT_CHARS);

const failure = z.strictObject({
  code: z.enum(Object.keys(FAILURES) as [FailureCode, ...FailureCode[]]),
  stage: z.enum([
    ...(['config', 'connect', 'lock', 'snapshot', 'plan', 'read', 'encode', 'compress', 'upload'] as const),
    ...(['worker', 'journal', 'commit', 'verify', 'restore', 'purge'] as const),
  ]),
  archive: name().exactOptional(),
  run: name().exactOptional(),
  segment: count().exactOptional(),
  host: name().exactOptional(),
  transient: z.boolean(),
  message: shortText,
  hint: shortText,
  cause: shortText.exactOptional(),
});

const outcome = z.union([
  z.strictObject({ ok: z.literal(true), facts, peakHeapBytes: count(), seconds: z.number().min(0) }),
  z.strictObject({ ok: z.literal(false), failure, peakHeapBytes: count() }),
]);

/** All that a host knows of a task by now; what comes late says nothing new. */
const report = z.strictObject({
  id,
  /** Backends that read for it, and uploads that were begun: to be ended should the host die. */
  backends: z.array(count()).max(MOST_TRACES),
  uploads: z.array(text(2048)).max(MOST_TRACES),
  progress: z.strictObject({ rows: count(), jsonBytes: count(), bytes: count(), heapBytes: count() }).exactOptional(),
  /** Bytes of lines, from its beginning on, of a task that is read at a pace: what it wants, and what it has heard to be granted. */
  pace: z.strictObject({ wanted: count(), granted: count() }).exactOptional(),
  /** Requests to the destination that are in trouble. */
  troubles: z
    .array(
      z.strictObject({
        request: shortText,
        tries: count(),
        failure: failure.exactOptional(),
        isOver: z.literal(true).exactOptional(),
      }),
    )
    .max(MOST_TRACES)
    .exactOptional(),
  outcome: outcome.exactOptional(),
});
export type Report = z.infer<typeof report>;

/** A host tells of tasks that it has begun. */
const said = z.strictObject({
  format: z.literal('pgsluice/said/1'),
  /** The member of the queue that says it, and its machine. */
  member: id,
  host: name(),
  reports: z.array(report).max(MOST_TOGETHER),
});
export type Said = z.infer<typeof said>;

/** What a host is told of a task: that it is to drop it, or how much of it may be passed on, from its beginning on. */
const order = z.discriminatedUnion('format', [
  z.strictObject({ format: z.literal('pgsluice/drop/1'), id, reason: shortText }),
  z.strictObject({ format: z.literal('pgsluice/grant/1'), id, granted: count() }),
]);
export type Order = z.infer<typeof order>;

/** Throws FailureError `bad-job` for what has another form. */
export const readJob = (data: unknown): Job => read(job, 'job', data, MOST_JOB_BYTES);
export const readSaid = (data: unknown): Said => read(said, 'message of a host', data, MOST_MESSAGE_BYTES);
export const readOrder = (data: unknown): Order => read(order, 'order to a host', data, MOST_MESSAGE_BYTES);

/** Of a message, but for its reports. */
const ENVELOPE_BYTES = 4096;

/** Reports as they fit into messages together: many requests in trouble take many words. */
export function inMessages<T extends { report: Report }>(given: readonly T[]): T[][] {
  const messages: T[][] = [];
  let [last, bytes]: [T[], number] = [[], Infinity];
  for (const one of given) {
    const more = Buffer.byteLength(JSON.stringify(one.report)) + 1;
    if (last.length === MOST_TOGETHER || bytes + more > MOST_MESSAGE_BYTES) {
      messages.push((last = []));
      bytes = ENVELOPE_BYTES;
    }
    last.push(one);
    bytes += more;
  }
  return messages;
}

/** Leaves are read by their OID alone; the names of a hundred might not fit into a job. */
export function partOfJob(given: Part, index: number): Job['part'] {
  const { leaves, ...part } = given as Job['part'];
  return { ...part, index, ...(leaves && { leaves: leaves.map(({ leaf }) => ({ leaf, name: '' })) }) };
}

/** The job as it may be sent. Throws FailureError `bad-job` when it is too large. */
export function checkJob(given: Job): Job {
  return read(job, 'job', given, MOST_JOB_BYTES);
}

function read<T>(schema: z.ZodType<T>, what: string, data: unknown, mostBytes: number): T {
  const bytes = Buffer.byteLength(JSON.stringify(data ?? null));
  if (bytes > mostBytes) throw bad(`a ${what} has ${bytes} bytes, and may have ${mostBytes}`);
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  throw bad(`a ${what} is not as pgsluice writes it, at ${(first?.path ?? []).join('.').slice(0, 100)}`);
}

function bad(message: string): Error {
  return fail('bad-job', { stage: 'worker', message });
}

/** A failure in no more words than a message takes. */
export function shortened(given: Failure): Failure {
  const { cause } = given;
  const short = { ...given, message: cut(given.message), hint: cut(given.hint) };
  return cause === undefined ? short : { ...short, cause: cut(cause) };
}

/** The same of what is told of a request. */
export function shortTrouble(given: StoreTrouble): StoreTrouble {
  const short = { ...given, request: cut(given.request) };
  return short.what === 'retried' ? { ...short, failure: shortened(short.failure) } : short;
}

/** The queue's jsonb takes neither U+0000 nor half a character, and an error may quote anything. */
function cut(words: string): string {
  return words.slice(0, MOST_TEXT_CHARS).toWellFormed().replaceAll('\0', '\ufffd');
}
