/**
 * The rehearsals of an archive, in its folder: how the latest one of each run ended, and which scratch tables are being made or
 * filled. A table is noted before it is made, so that whoever finds it knows it as ours.
 */
import * as z from 'zod';
import { fail } from '../base/errors.ts';
import type { Store } from '../store/store.ts';
import { badDocument, readDocument, type DocumentKind } from './documents.ts';
import { count, hex, list, name, text, time, TOOL_FIELDS } from './fields.ts';
import { rehearsalsKey } from './names.ts';
import { putDocument } from './own-documents.ts';
import { isRunId } from './run-id.ts';
import { openDocument } from './signature.ts';

const REHEARSALS_FORMAT = 'pgsluice/rehearsals/1';

/** Runs of which the latest rehearsal is kept; of those beyond, the ones that were rehearsed last. */
const MOST_RESULTS = 1000;
/** Tables that were noted and not taken back. */
const MOST_ATTEMPTS = 100;
/** Columns that are named which had another type. */
export const MOST_SUBSTITUTES = 100;
const MOST_MESSAGE_CHARS = 2000;
/** The clock of another host may be ahead of ours. */
const MOST_AHEAD_MS = 86_400_000;

const run = z.string().max(40).refine(isRunId);

const attempt = z.strictObject({
  run,
  /** Drawn for this table alone; a part of its name and of its comment. */
  nonce: hex(32),
  schema: name().min(1),
  database: name(),
  systemIdentifier: name().nullable(),
  startedAt: time(),
  host: name(),
});
/** A scratch table that may be there. */
export type RehearsalAttempt = z.infer<typeof attempt>;

const result = z.strictObject({
  run,
  at: time(),
  /** `equal`: it came back as it was archived. `different`: it did not; `code` and `message` say why. */
  status: z.enum(['equal', 'different']),
  code: name().exactOptional(),
  message: text(MOST_MESSAGE_CHARS).exactOptional(),
  /** What was restored, and how many objects the run has. */
  rows: count(),
  objects: count(),
  objectsOfRun: count(),
  jsonBytes: count(),
  seconds: z.number().min(0),
  /** Columns that had another type in the scratch table, as its database lacks theirs. */
  substitutes: list(z.strictObject({ column: name(), type: name(), as: z.enum(['text', 'json']) }), MOST_SUBSTITUTES),
  host: name(),
});
/** How the latest rehearsal of a run ended. */
export type RehearsalResult = z.infer<typeof result>;

const rehearsalsSchema = z.strictObject({
  format: z.literal(REHEARSALS_FORMAT),
  archive: name().min(1),
  attempts: list(attempt, MOST_ATTEMPTS),
  /** One a run, the latest rehearsal last. */
  results: list(result, MOST_RESULTS),
  tool: z.strictObject(TOOL_FIELDS),
});
type RehearsalsDocument = z.infer<typeof rehearsalsSchema>;
export type Rehearsals = Pick<RehearsalsDocument, 'attempts' | 'results'>;

const REHEARSALS: DocumentKind<RehearsalsDocument> = {
  name: 'record of rehearsals',
  format: REHEARSALS_FORMAT,
  schema: rehearsalsSchema,
  maxBytes: 16 * 1024 ** 2,
  code: 'bad-rehearsals',
  stage: 'verify',
};

const NONE: Rehearsals = { attempts: [], results: [] };

/** Throws FailureError for a record that cannot be believed. */
export async function readRehearsals(store: Store, archive: string): Promise<Rehearsals> {
  return (await read(store, archive))?.rehearsals ?? NONE;
}

async function read(store: Store, archive: string): Promise<{ rehearsals: Rehearsals; etag: string } | undefined> {
  const key = rehearsalsKey(archive);
  const found = await store.get(key, REHEARSALS.maxBytes);
  if (found === undefined) return undefined;
  const url = store.url + key;
  const document = readDocument(REHEARSALS, openDocument(found.body, store.signing, url), url);
  if (document.archive !== archive) throw badDocument(REHEARSALS, url, 'it is that of another archive');
  const { attempts } = document;
  // What says that it was made later than now was made by nobody, and else would pass for the latest one for ever.
  const results = document.results.filter(({ at: said }) => Date.parse(said) <= Date.now() + MOST_AHEAD_MS);
  return { rehearsals: { attempts, results }, etag: found.etag };
}

/** Another host may write to it at the same time. */
const MOST_TRIES = 8;

/** Writes what `change` makes of the record that is there. Throws FailureError. */
export async function changeRehearsals(
  store: Store,
  archive: string,
  tool: RehearsalsDocument['tool'],
  change: (before: Rehearsals) => Rehearsals,
): Promise<Rehearsals> {
  const place = { store, archive, run: '' };
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const before = await read(store, archive);
    const after = change(before?.rehearsals ?? NONE);
    const document = { format: REHEARSALS_FORMAT, archive, ...after, tool } as const;
    const { outcome } = await putDocument(
      place,
      REHEARSALS,
      document,
      rehearsalsKey(archive),
      before?.etag ?? 'nothing',
      true,
    );
    if (outcome === 'written') return after;
  }
  const message = `${store.url}${rehearsalsKey(archive)} was written by somebody else each time that it was to be`;
  throw fail('precondition-failed', { stage: 'verify', archive, message });
}

/** With a table that is about to be made. Throws FailureError where too many were never taken back. */
export function withAttempt({ attempts, results }: Rehearsals, added: RehearsalAttempt): Rehearsals {
  return { attempts: [...attempts, added], results };
}

/** Without a table that is gone. */
export function withoutAttempt({ attempts, results }: Rehearsals, nonce: string): Rehearsals {
  return { attempts: attempts.filter((one) => one.nonce !== nonce), results };
}

/** With the result of a rehearsal, in the place of an earlier one of the run. */
export function withResult({ attempts, results }: Rehearsals, added: RehearsalResult): Rehearsals {
  const kept = results.filter((one) => one.run !== added.run);
  const short = added.message === undefined ? added : { ...added, message: added.message.slice(0, MOST_MESSAGE_CHARS) };
  return { attempts, results: [...kept, short].slice(-MOST_RESULTS) };
}
