/** Reads documents that somebody has changed, as a thread whose heap is bounded: all that reads them, and what statements are made of them. */
import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { fail, FailureError } from '../../src/base/errors.ts';
import type { JournalPlan } from '../../src/ledger/journal.ts';
import type { ManifestHead } from '../../src/ledger/manifest.ts';
import { manifestKey, planKey, receiptKey } from '../../src/ledger/names.ts';
import { RECEIPTS_FORMAT } from '../../src/ledger/receipts.ts';
import { RunFolder } from '../../src/ledger/run-folder.ts';
import type { Client } from '../../src/postgres/connect.ts';
import { createTable } from '../../src/restore/create-table.ts';
import { resolveTypes } from '../../src/restore/types.ts';
import type { Store } from '../../src/store/store.ts';
import type { Cut } from '../../src/run/cut/cut.ts';
import { cutByKey } from '../../src/run/cut/key.ts';
import { cutByPages } from '../../src/run/cut/pages.ts';
import { cutByValue } from '../../src/run/cut/value.ts';
import { aManifest, aPlan, aReceipt, ARCHIVE, FINGERPRINT, receiptsOf, RUN } from './ledger.ts';
import { mutate } from './mutations.ts';
import { narrowTo } from '../../src/segment/narrow.ts';

const LEAF = {
  oid: 16_384,
  name: 'public.events',
  from: '"public"."events"',
  hasPages: true,
  pages: 30,
  bytes: 240_000,
  isReadable: true,
};
const VALUE_COLUMNS = [
  { name: 'tenant', reference: '"tenant"', type: 'pg_catalog.text', isText: true },
  { name: 'day', reference: '"day"', type: 'pg_catalog.date', isText: false },
];
const CUTS: Record<JournalPlan['by'], Cut | undefined> = {
  key: cutByKey({
    columns: [{ reference: '"id"', type: 'bigint', operators: 'pg_catalog' }],
    nullable: true,
    findBounds: async () => [],
    findDescent: () => Promise.resolve(undefined),
  }),
  pages: cutByPages({ leaves: [LEAF], table: { oid: LEAF.oid, name: '"events"' }, targetBytes: 80_000 }),
  none: undefined,
  value: cutByValue({
    columns: VALUE_COLUMNS,
    async *listValues() {
      // None are listed here.
    },
    countsAll: true,
    areAsPrinted: () => Promise.resolve(true),
    key: {
      columns: [{ reference: '"id"', type: 'bigint', operators: 'pg_catalog' }],
      nullable: true,
      partsOf: () => 1,
      findBounds: async () => [],
      findDescent: () => Promise.resolve(undefined),
    },
  }),
};

const byPages = aPlan({
  by: 'pages',
  segments: [
    { index: 0, pages: { leaf: LEAF.oid, name: LEAF.name, fromPage: 0, toPage: 15 } },
    { index: 1, pages: { leaf: LEAF.oid, name: LEAF.name, fromPage: 15, toPage: null } },
  ],
});
const byValue = aPlan({
  by: 'value',
  partitionBy: ['tenant', 'day'],
  segments: [
    { index: 0, partition: ["'; DROP TABLE t; --", '2024-01-01'] },
    { index: 1, partition: ['\\', null], range: { lower: null, upper: ['5'] } },
    { index: 2, partition: ['\\', null], range: { lower: ['5'], upper: null } },
    { index: 3, partition: ['', 'infinity'] },
  ],
  extended: [{ fingerprint: FINGERPRINT, segments: 3 }],
});
const inFolders = aManifest(2);
const DIRECTORY = `pg/${ARCHIVE}/run=${RUN}/tenant=`;
const manifestByValue = {
  ...inFolders,
  partitionBy: ['tenant'],
  objects: inFolders.objects.map((object, at) => ({
    ...object,
    key: `${DIRECTORY}${at === 0 ? 'a%2Fb' : '__HIVE_DEFAULT_PARTITION__'}/part-0000${at}.jsonl.gz`,
    partition: { tenant: at === 0 ? 'a/b' : null },
  })),
};
const committing = aPlan({ committing: { sha256: 'a'.repeat(64), bytes: 1000 }, formerKeys: ['part-00009.jsonl.zst'] });
const DOCUMENTS: readonly [key: string, document: string][] = [
  ...[aPlan(), byPages, byValue, committing].map((plan): [string, string] => [planKey(ARCHIVE, RUN), write(plan)]),
  [receiptKey(ARCHIVE, RUN, 1), write({ format: RECEIPTS_FORMAT, receipts: [aReceipt(1), aReceipt(2)] })],
  [manifestKey(ARCHIVE, RUN), write(aManifest(4))],
  [manifestKey(ARCHIVE, RUN), write(manifestByValue)],
];

function write(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** A run's folder in which this one document lies. */
function folderWith(key: string, text: string): RunFolder {
  const body = Buffer.from(text);
  const store: Store = {
    url: 's3://bucket/',
    async get(asked: string, limitBytes: number) {
      if (asked !== key) return undefined;
      if (body.length > limitBytes) throw fail('object-too-large', { stage: 'upload', message: 'as any store says' });
      return { body, etag: 'x' };
    },
    async scan(asked: string, limitBytes: number, onPiece: (piece: Buffer) => void) {
      const found = await store.get(asked, limitBytes);
      if (found === undefined) return undefined;
      for (let at = 0; at < body.length; at += 1000) onPiece(body.subarray(at, at + 1000));
      return { etag: found.etag };
    },
    async *list() {
      yield { key, bytes: body.length, etag: 'x' };
    },
  } as unknown as Store;
  return new RunFolder(store, ARCHIVE, RUN);
}

/** Reads the folder as all who read it do, and makes the statements that would be sent. */
async function statementsOf(key: string, text: string): Promise<string[]> {
  const folder = folderWith(key, text);
  const plan = (await orRefused(folder.plan()))?.plan;
  const manifest = await orRefused(folder.manifest());
  for (const { firstKey } of (await orRefused(receiptsOf(folder, FINGERPRINT)))?.receipts ?? [])
    assert.ok(firstKey === null || firstKey.every((value) => typeof value === 'string'));
  return [
    ...(plan === undefined ? [] : statementsOfPlan(plan)),
    ...(manifest ? await statementsOfManifest(manifest) : []),
  ];
}

function statementsOfPlan({ by, segments }: JournalPlan): string[] {
  const cut = CUTS[by];
  if (cut === undefined || cut.problem(segments) !== undefined) return [];
  return Array.from(segments, (segment) => {
    const { from = '', predicate = '', orderBy = '' } = narrowTo(cut.parts, segment);
    return [from, predicate, orderBy].join(' ');
  });
}

async function statementsOfManifest(manifest: ManifestHead): Promise<string[]> {
  const sent: string[] = [];
  const client = {
    /** Knows two types, as a server would. */
    async query(statement: string, values: readonly unknown[] = []): Promise<{ rows: { name: string | null }[] }> {
      sent.push(statement);
      const [name] = values;
      return { rows: [{ name: name === 'bigint' || name === 'text' ? name : null }] };
    },
  } as unknown as Client;
  const types = await resolveTypes(client, manifest.columns);
  if (manifest.columns.every(({ type }) => types.has(type)))
    await createTable(client, { schema: 'public', table: 'back' }, manifest, types);
  return sent;
}

async function orRefused<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    assert.match(error.failure.code, /^(?:bad-manifest|bad-journal|newer-journal|misplaced|object-too-large)$/);
    assert.ok(error.failure.message.length < 5000, `a message of ${error.failure.message.length} characters`);
    return undefined;
  }
}

/** A statement without its names and values, of which there may be any number. */
function shapeOf(statement: string): string {
  return statement
    .replaceAll(/"(?:[^"]|"")*"| ?E?'(?:[^'\\]|''|\\\\)*'/g, (part) => (part.startsWith('"') ? '"name"' : "'value'"))
    .replaceAll(/"name" (?:bigint|text)(?: NOT NULL)?/g, 'COLUMN')
    .replaceAll(/COLUMN(?:, COLUMN)*/g, 'COLUMNS')
    .replaceAll(/"name"(?:, "name")*/g, 'NAMES');
}

const SHAPES = [
  new RegExp(
    String.raw`^ (?:\(NAMES\) OPERATOR\(pg_catalog\.>=\) \('value'::bigint\))?` +
      String.raw`(?:(?: AND )?\(\(NAMES\) OPERATOR\(pg_catalog\.>=\) \('value'::bigint\)\) IS NOT TRUE)?` +
      String.raw`(?: AND \(NAMES\) OPERATOR\(pg_catalog\.<=\) \('value'::bigint\))? NAMES$`,
  ),
  new RegExp(
    String.raw`^ (?:NAMES OPERATOR\(pg_catalog\.=\) ?'value'::pg_catalog\.text|NAMES IS NULL)` +
      String.raw` AND (?:NAMES OPERATOR\(pg_catalog\.=\) ?'value'::pg_catalog\.date|NAMES IS NULL)` +
      String.raw`(?: AND \(NAMES\) OPERATOR\(pg_catalog\.>=\) \('value'::bigint\))?` +
      String.raw`(?: AND \(\(NAMES\) OPERATOR\(pg_catalog\.>=\) \('value'::bigint\)\) IS NOT TRUE)?` +
      String.raw`(?: AND \(NAMES\) OPERATOR\(pg_catalog\.<=\) \('value'::bigint\))? (?:NAMES)?$`,
  ),
  /^NAMES\.NAMES (?:ctid OPERATOR\(pg_catalog\.>=\)'value'::pg_catalog\.tid(?: AND ctid OPERATOR\(pg_catalog\.<\)'value'::pg_catalog\.tid)?)? $/,
  /^SELECT pg_catalog\.format_type\(t\.oid, \$2\) AS name\s+FROM \(SELECT COALESCE\(pg_catalog\.to_regtype\(\$3\), pg_catalog\.to_regtype\(\$1\)\)::pg_catalog\.oid AS oid\) AS t\s+WHERE t\.oid IS NOT NULL$/,
  /^CREATE TABLE NAMES\.NAMES \((?:COLUMNS)?(?:, PRIMARY KEY \(NAMES\))?\)$/,
];

export interface MutatedWork {
  /** Which of the documents. */
  at: number;
  first: number;
  count: number;
  /** The seed of the change that is being read, for who waits. */
  seed: Int32Array;
}

/** How many documents there are. */
export const KINDS = DOCUMENTS.length;

export function nameOfKind(at: number): string {
  const [key = ''] = DOCUMENTS[at] ?? [];
  return `${key.slice(key.lastIndexOf('/') + 1)} (${at})`;
}

/** Resolves to the number of statements. Throws at the first one that no correct document gives. */
async function readMutated({ at, first, count, seed }: MutatedWork): Promise<number> {
  const [key = '', document = ''] = DOCUMENTS[at] ?? [];
  const [whole] = await statementsOf(key, document);
  assert.equal(whole === undefined, key === receiptKey(ARCHIVE, RUN, 1), 'only receipts make no statement');
  let statements = 0;
  for (let step = 0; step < count; step += 1) {
    Atomics.store(seed, 0, first + step);
    for (const statement of await statementsOf(key, mutate(document, first + step))) {
      const shape = shapeOf(statement);
      assert.ok(
        SHAPES.some((known) => known.test(shape)),
        `${shape}, from ${statement}`,
      );
      statements += 1;
    }
  }
  return statements;
}

// What it throws ends the thread.
parentPort?.on('message', (work: MutatedWork) => {
  void readMutated(work).then((statements) => parentPort?.postMessage(statements));
});
