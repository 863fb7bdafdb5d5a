/**
 * The chain of an archive's manifests: each names the one that was committed before it, by its digest, and `_head.json` in the
 * archive's folder names the latest one. It is replaced right before that manifest is written.
 */
import os from 'node:os';
import * as z from 'zod';
import { TOOL } from '../base/tool.ts';
import type { PutResult, Replaces, Store } from '../store/store.ts';
import { badDocument, readDocument, type DocumentKind } from './documents.ts';
import { hex, list, name, TOOL_FIELDS } from './fields.ts';
import { headKey } from './names.ts';
import { putDocument } from './own-documents.ts';
import { isRunId } from './run-id.ts';
import { openDocument } from './signature.ts';

const HEAD_FORMAT = 'pgsluice/head/1';

/** Runs that were not committed after all; each is one that was killed or failed within its last two requests. */
export const MOST_PASSED_OVER = 1000;

const LINK_FIELDS = {
  run: z.string().max(40).refine(isRunId),
  sha256: hex(64).meta({ description: 'Of its manifest, as it is stored.' }),
};

export const chainLink = z.object(LINK_FIELDS);
/** A manifest, by the run that it is of and its digest. */
export type ChainLink = z.infer<typeof chainLink>;

const passedOverRun = z.object({
  ...LINK_FIELDS,
  planned: z.boolean().meta({ description: 'Whether the run had a plan then, as one has that is not committed yet.' }),
});
/** A manifest that a head had named, and that was not there when the next run was committed. */
export type PassedOver = z.infer<typeof passedOverRun>;

export const passedOverRuns = list(passedOverRun, MOST_PASSED_OVER);

const headSchema = z.object({
  format: z.literal(HEAD_FORMAT),
  archive: name().min(1),
  ...LINK_FIELDS,
  /** What the run before it was, for whoever finds that its manifest was never written; null for the first one. */
  before: chainLink.nullable(),
  passedOver: passedOverRuns.exactOptional(),
  host: name(),
  tool: z.object(TOOL_FIELDS),
});
export type Head = z.infer<typeof headSchema>;

const HEAD: DocumentKind<Head> = {
  name: 'head',
  format: HEAD_FORMAT,
  schema: headSchema,
  maxBytes: 1024 ** 2,
  code: 'bad-head',
  stage: 'commit',
};

/** A head as it is to be written. */
export function headOf(fields: Omit<Head, 'format' | 'host' | 'tool'>): Head {
  return { format: HEAD_FORMAT, ...fields, host: os.hostname(), tool: TOOL };
}

export interface StoredHead {
  head: Head;
  etag: string;
}

/**
 * The head of an archive; undefined when it has none. Throws FailureError for one that cannot be believed. Who is about to commit
 * need not know who has signed it (`isTrusted` false): whatever it names wrongly, the manifests themselves tell.
 */
export async function readHead(store: Store, archive: string, isTrusted = true): Promise<StoredHead | undefined> {
  const key = headKey(archive);
  const found = await store.get(key, HEAD.maxBytes);
  if (found === undefined) return undefined;
  const url = store.url + key;
  const head = readDocument(HEAD, openDocument(found.body, isTrusted ? store.signing : undefined, url), url);
  if (head.archive !== archive) throw badDocument(HEAD, url, 'it is that of another archive');
  return { head, etag: found.etag };
}

/** Writes a head over nothing, or over the one that has this ETag, which was just read. */
export async function writeHead(store: Store, head: Head, replaces: Replaces): Promise<PutResult> {
  const place = { store, archive: head.archive, run: head.run };
  return putDocument(place, HEAD, head, headKey(head.archive), replaces, true);
}

/** Whether two name the same manifest. */
export function isSameLink(a: ChainLink | null | undefined, b: ChainLink | null | undefined): boolean {
  return a?.run === b?.run && a?.sha256 === b?.sha256 && (a === null) === (b === null);
}

/** Names a manifest in a set. */
export function linkKey({ run, sha256 }: ChainLink): string {
  return `${run} ${sha256}`;
}

/** What a manifest says of the chain. */
export interface ChainFields {
  previous: ChainLink | null;
  passedOver?: PassedOver[];
}
