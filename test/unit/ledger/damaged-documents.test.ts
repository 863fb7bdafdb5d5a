import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FailureError } from '../../../src/base/errors.ts';
import { readDocument, writeDocument, type DocumentKind } from '../../../src/ledger/documents.ts';
import { PLAN } from '../../../src/ledger/journal.ts';
import { MANIFEST } from '../../../src/ledger/manifest.ts';
import { RECEIPTS, RECEIPTS_FORMAT } from '../../../src/ledger/receipts.ts';
import { SEGMENTS, SEGMENTS_FORMAT, type SegmentsApart } from '../../../src/ledger/segments-apart.ts';
import { aManifest, aPlan, aReceipt, ARCHIVE, keySegments, RUN } from '../../support/ledger.ts';
import { triesOf } from '../../support/thorough.ts';

const URL = 's3://bucket/pg/events/run=20261123T021500Z/_doc.json';
const TRIES = triesOf(300, 1000);

/** Values that a document might have where it should have another. */
const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(-1, 0, 0.5, 1e300, 2 ** 53, null, '', 'x; DROP TABLE t', '../..', [], {}, [[]], [null], true),
  fc.string({ maxLength: 40 }),
);

type Damage = (document: unknown) => unknown;

/** Changes one place of a document, chosen by a number. */
const damage: fc.Arbitrary<Damage> = fc
  .record({
    place: fc.nat(),
    how: fc.constantFrom('replace', 'remove', 'add', 'repeat', 'swap'),
    name: fc.oneof(fc.constantFrom('__proto__', 'constructor', 'sql', 'from'), fc.string({ maxLength: 10 })),
    value: odd,
  })
  .map(({ place, how, name, value }) => (document) => {
    const places = [...placesOf(document)];
    const at = places[place % places.length];
    if (at === undefined) return document;
    const { holder, field } = at;
    // A value may be chosen twice, and must not become a part of itself.
    if (Array.isArray(holder)) changeList(holder, Number(field), how, structuredClone(value));
    else changeMapping(holder, how === 'add' ? name : field, how, structuredClone(value));
    return document;
  });

function changeList(list: unknown[], at: number, how: string, value: unknown): void {
  if (how === 'replace') list[at] = value;
  else if (how === 'remove') list.splice(at, 1);
  else if (how === 'add') list.push(value);
  else if (how === 'repeat') list.splice(at, 0, list[at]);
  else list.reverse();
}

function changeMapping(mapping: object, field: string, how: string, value: unknown): void {
  if (how === 'remove') Reflect.deleteProperty(mapping, field);
  else Object.defineProperty(mapping, field, { value, enumerable: true, configurable: true, writable: true });
}

interface Place {
  holder: object;
  field: string;
}

function* placesOf(value: unknown): Generator<Place> {
  if (typeof value !== 'object' || value === null) return;
  for (const [field, item] of Object.entries(value)) {
    yield { holder: value, field };
    yield* placesOf(item);
  }
}

function segmentsApart(count: number): SegmentsApart {
  return { format: SEGMENTS_FORMAT, archive: ARCHIVE, run: RUN, by: 'key', segments: keySegments(count) };
}

/** Undefined when it is refused, which it must be by a failure of its own. */
function readOrRefuse<T>(kind: DocumentKind<T>, body: Buffer): T | undefined {
  try {
    return readDocument(kind, body, URL);
  } catch (error) {
    assert.ok(error instanceof FailureError, String(error));
    assert.ok([kind.code, 'newer-journal'].includes(error.failure.code), error.failure.code);
    assert.ok(error.failure.message.length < 2000);
    return undefined;
  }
}

for (const [kind, whole, isStrict] of [
  [MANIFEST, (): object => aManifest(4), false],
  [PLAN, (): object => aPlan(), true],
  [RECEIPTS, (): object => ({ format: RECEIPTS_FORMAT, receipts: [aReceipt(1)] }), true],
  [SEGMENTS, (): object => segmentsApart(4), true],
] as [DocumentKind<object>, () => object, boolean][]) {
  const what = `${kind.name} (${kind.format})`;

  test(`a ${what} that was changed anywhere is refused, or taken for what it says and no more`, () => {
    let taken = 0;
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        const document = damages.reduce<unknown>((value, change) => change(value), structuredClone(whole()));
        const text = JSON.stringify(document);
        const read = readOrRefuse(kind, Buffer.from(text));
        if (read === undefined) return;
        taken += 1;
        if (isStrict) assert.deepEqual(read, JSON.parse(text));
        assert.deepEqual(readDocument(kind, writeDocument(kind, read, URL), URL), read);
      }),
      { numRuns: TRIES },
    );
    assert.ok(taken > 0 && taken < 0.9 * TRIES, `${taken} were taken`);
  });

  test(`a ${what} with other bytes anywhere is refused, or read`, () => {
    const body = Buffer.from(JSON.stringify(whole()));
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }), (at, bytes) => {
        const changed = Buffer.from(body);
        changed.set(bytes.subarray(0, changed.length - at), at);
        readOrRefuse(kind, changed);
        readOrRefuse(kind, changed.subarray(0, at));
      }),
      { numRuns: TRIES / 2 },
    );
  });
}
