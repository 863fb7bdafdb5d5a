/** What every destination must do, whatever it is made of. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { fail, FailureError } from '../../../src/base/errors.ts';
import type { Content, Store, StoredObject, UploadOptions } from '../../../src/store/store.ts';

export const MIB = 1024 ** 2;
export const PART = 5 * MIB;

/** One kind of destination under test. */
export interface Subject {
  /** A store in a place of its own; the next call gives another place, beside this one and sharing the start of its name. */
  open(): Promise<Store>;
  /** Uploads that are pending behind the store, as someone else sees them. */
  countPending(store: Store): Promise<number>;
  /** Keys that the store gets with one request of a list. */
  keysPerPage: number;
  close(): Promise<void>;
}

export function uploadOptions(overrides: Partial<UploadOptions> = {}): UploadOptions {
  return { contentType: 'application/gzip', signal: new AbortController().signal, ...overrides };
}

/** Buffers of exactly one part each but for the last; and the hash of all. */
export function partsOf(bytes: number): { body: () => AsyncGenerator<Buffer>; sha256: string } {
  const content = randomBytes(bytes);
  return {
    sha256: createHash('sha256').update(content).digest('hex'),
    async *body() {
      for (let at = 0; at < bytes; at += PART) yield content.subarray(at, at + PART);
    },
  };
}

/** Content of so many bytes, and these; `made` says how often they were made. */
export function contentOf(bytes: number): { content: Content; body: Buffer; made: () => number } {
  const body = randomBytes(bytes);
  let made = 0;
  const content = {
    bytes,
    sha256: createHash('sha256').update(body).digest('hex'),
    crc32: crc32(body),
    *pieces() {
      made += 1;
      for (let at = 0; at < bytes; at += 100_000) yield body.subarray(at, at + 100_000);
    },
  };
  return { content, body, made: () => made };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function sha256Of(store: Store, key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of store.read(key, new AbortController().signal)) hash.update(chunk);
  return hash.digest('hex');
}

/** Expects a FailureError, and gives its record for further checks. */
export async function failureOf(work: Promise<unknown>): Promise<FailureError['failure']> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof FailureError, `not a FailureError: ${String(error)}`);
    assert.notEqual(error.failure.hint, '');
    return error.failure;
  }
  assert.fail('nothing was thrown');
}

const text = { contentType: 'application/json' };
const toFreeKey = { ...text, replaces: 'nothing' };
/** Never settles, as a stalled source does. */
export function forever(): Promise<never> {
  return new Promise(() => undefined);
}

const keys = (objects: StoredObject[]): string[] => objects.map(({ key }) => key);

export function testConformance(name: string, openSubject: () => Promise<Subject>): void {
  describe(`${name} as a destination`, () => {
    let subject: Subject;
    let store: Store;

    before(async () => {
      subject = await openSubject();
      store = await subject.open();
    });
    after(async () => {
      store.close();
      await subject.close();
    });

    testUploads(
      () => store,
      () => subject,
    );
    testSmallObjects(() => store);
    testConditions(
      () => store,
      () => subject,
    );
    testLists(
      () => store,
      () => subject,
    );
  });
}

function testUploads(store: () => Store, subject: () => Subject): void {
  for (const [situation, bytes] of [
    ['empty', 0],
    ['of one byte', 1],
    ['of exactly one part', PART],
    ['of one part and a byte', PART + 1],
    ['of exactly two parts', 2 * PART],
    ['of three parts, the last one short', 2 * PART + 12_345],
  ] as const) {
    it(`uploads an object ${situation} byte for byte`, async () => {
      const { body, sha256 } = partsOf(bytes);
      const key = `uploads/${bytes}.gz`;
      const { etag } = await store().upload(key, body(), uploadOptions());
      assert.deepEqual(await store().head(key), { key, bytes, etag });
      assert.equal(await sha256Of(store(), key), sha256);
      assert.equal(await subject().countPending(store()), 0);
    });
  }

  it('uploads a body whose buffers are smaller than a part', async () => {
    const pieces = Array.from({ length: 30 }, () => randomBytes(200_000));
    const sha256 = createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
    await store().upload('uploads/small.gz', toBody(pieces), uploadOptions());
    assert.equal(await sha256Of(store(), 'uploads/small.gz'), sha256);
  });

  for (const bufferBytes of [2 * PART + 3, PART, PART / 4, 77])
    it(`has done with a buffer of ${bufferBytes} bytes when it asks for the next one`, async () => {
      const content = randomBytes(bufferBytes === 77 ? 5 * 77 : 2 * PART + bufferBytes);
      const buffer = Buffer.alloc(bufferBytes);
      async function* body(): AsyncGenerator<Buffer> {
        for (let at = 0; at < content.length; at += bufferBytes) {
          yield buffer.subarray(0, content.copy(buffer, 0, at));
          buffer.fill(0);
        }
      }
      await store().upload('uploads/lent.gz', body(), uploadOptions());
      const sha256 = createHash('sha256').update(content).digest('hex');
      assert.equal(await sha256Of(store(), 'uploads/lent.gz'), sha256);
    });

  it('replaces an object that is there', async () => {
    await store().upload('uploads/twice.gz', partsOf(PART + 5).body(), uploadOptions());
    const { body, sha256 } = partsOf(77);
    await store().upload('uploads/twice.gz', body(), uploadOptions());
    assert.equal(await sha256Of(store(), 'uploads/twice.gz'), sha256);
  });

  for (const [what, bytes] of [
    ['of one part', 77],
    ['of several parts', 2 * PART + 5],
  ] as const)
    it(`shows an object ${what} only once the last question before it was answered, and not when the answer is no`, async () => {
      const key = `uploads/asked-${bytes}.gz`;
      const { body } = partsOf(bytes);
      let asked = 0;
      const beforeLast = async (): Promise<void> => {
        asked += 1;
        assert.equal(await store().head(key), undefined);
      };
      await store().upload(key, body(), uploadOptions({ beforeLast }));
      assert.deepEqual([asked, (await store().head(key))?.bytes], [1, bytes]);
      const no = fail('session-lost', { stage: 'lock', message: 'the lock is gone' });
      const refused = store().upload(`${key}.no`, body(), uploadOptions({ beforeLast: () => Promise.reject(no) }));
      await assert.rejects(refused, (error) => error === no);
      assert.equal(await store().head(`${key}.no`), undefined);
      assert.equal(await subject().countPending(store()), 0);
    });

  it('tells the id of an upload while it is running, by which it can be found', async () => {
    let uploadId: string | undefined;
    const stop = new AbortController();
    const onUploadStarted = (id: string): void => {
      uploadId = id;
      void look().then(() => {
        stop.abort(new Error('seen enough'));
      });
    };
    let pending = 'unsupported' as Awaited<ReturnType<Store['listUploads']>>;
    const look = async (): Promise<void> => {
      pending = await store().listUploads('found/');
    };
    await assert.rejects(
      store().upload('found/me.gz', thenWait(2, forever), uploadOptions({ onUploadStarted, signal: stop.signal })),
      /seen enough/,
    );
    assert.ok(typeof pending !== 'string');
    assert.deepEqual(
      pending.map((upload) => [upload.key, upload.uploadId]),
      [['found/me.gz', uploadId]],
    );
    assert.ok(Math.abs(Date.now() - (pending[0]?.startedAt.getTime() ?? 0)) < 3_600_000);
  });

  for (const parts of [0, 1, 2, 4]) {
    it(`passes on the very error that the body throws after ${parts} parts, and leaves nothing`, async () => {
      const cause = new Error('the source broke');
      const key = `broken/${parts}.gz`;
      const upload = store().upload(
        key,
        thenWait(parts, () => Promise.reject(cause)),
        uploadOptions(),
      );
      await assert.rejects(upload, (error) => error === cause);
      assert.equal(await store().head(key), undefined);
      assert.equal(await subject().countPending(store()), 0);
    });

    it(`stops at the signal while the body is stalled after ${parts} parts, and leaves nothing`, async () => {
      const stop = new AbortController();
      const reason = new Error('drain');
      const key = `stopped/${parts}.gz`;
      const body = thenWait(parts, forever, () => {
        setImmediate(() => {
          stop.abort(reason);
        });
      });
      await assert.rejects(
        store().upload(key, body, uploadOptions({ signal: stop.signal })),
        (error) => error === reason,
      );
      assert.equal(await store().head(key), undefined);
      assert.equal(await subject().countPending(store()), 0);
    });
  }

  it('stops at the signal while parts are on the way', async () => {
    const stop = new AbortController();
    const reason = new Error('drain');
    async function* endless(): AsyncGenerator<Buffer> {
      for (let part = 0; ; part += 1) {
        if (part === 5) stop.abort(reason);
        yield Buffer.alloc(PART);
      }
    }
    const upload = store().upload('stopped/busy.gz', endless(), uploadOptions({ signal: stop.signal }));
    await assert.rejects(upload, (error) => error === reason);
    assert.equal(await store().head('stopped/busy.gz'), undefined);
    assert.equal(await subject().countPending(store()), 0);
  });

  it('does not start when the signal has aborted already, and lets the body go when it stops', async () => {
    const reason = new Error('too late');
    const upload = store().upload(
      'stopped/early.gz',
      partsOf(1).body(),
      uploadOptions({ signal: AbortSignal.abort(reason) }),
    );
    await assert.rejects(upload, (error) => error === reason);
    assert.equal(await store().head('stopped/early.gz'), undefined);
  });

  it('runs the finally of the body when the upload fails for another reason', async () => {
    const seen = { started: false };
    const ended = Promise.withResolvers<undefined>();
    async function* body(): AsyncGenerator<Buffer> {
      seen.started = true;
      try {
        for (;;) yield Buffer.alloc(PART);
      } finally {
        ended.resolve(undefined);
      }
    }
    const onUploadStarted = (): void => {
      throw new Error('cannot note the id');
    };
    await assert.rejects(store().upload('stopped/noted.gz', body(), uploadOptions({ onUploadStarted })));
    if (seen.started) await ended.promise;
    assert.equal(await subject().countPending(store()), 0);
  });

  it('aborts an upload that is gone without complaint', async () => {
    const uploadId = await leaveUpload(store());
    await store().abortUpload('gone.gz', uploadId);
    await store().abortUpload('gone.gz', uploadId);
    assert.equal(await subject().countPending(store()), 0);
  });
}

function testSmallObjects(store: () => Store): void {
  it('puts, replaces and gets a small object', async () => {
    const first = await etagOf(store().put('small/a.json', Buffer.from('one'), text));
    const etag = await etagOf(store().put('small/a.json', Buffer.from('two'), text));
    assert.notEqual(first, etag);
    assert.deepEqual(await store().get('small/a.json', 3), { body: Buffer.from('two'), etag });
    assert.deepEqual(await store().head('small/a.json'), { key: 'small/a.json', bytes: 3, etag });
    assert.deepEqual(await collect(store().list('small/a')), [{ key: 'small/a.json', bytes: 3, etag }]);
  });

  it('puts what is made a piece at a time, under conditions as well', async () => {
    const { content, body } = contentOf(700_000);
    const etag = await etagOf(store().put('small/made', content, { ...text, replaces: 'nothing' }));
    assert.deepEqual(await store().get('small/made', 1e6), { body, etag });
    assert.deepEqual(await store().put('small/made', content, { ...text, replaces: 'nothing' }), { outcome: 'exists' });
    const other = contentOf(10);
    await etagOf(store().put('small/made', other.content, { ...text, replaces: etag }));
    assert.deepEqual((await store().get('small/made', 1e6))?.body, other.body);
  });

  it('writes nothing of what is not what was said of it, or breaks off while it is made', async () => {
    const { content } = contentOf(700_000);
    const { content: other } = contentOf(700_000);
    const changed = { ...content, pieces: () => other.pieces() };
    assert.equal((await failureOf(store().put('small/changed', changed, text))).code, 'object-changed');
    const cause = fail('connection-lost', { stage: 'upload', message: 'the source of it is gone' });
    const broken: Content = {
      ...content,
      async *pieces() {
        yield Buffer.alloc(300_000);
        await sleep(1);
        throw cause;
      },
    };
    await assert.rejects(store().put('small/changed', broken, text), (error) => error === cause);
    assert.equal(await store().head('small/changed'), undefined);
  });

  it('puts and gets an empty object', async () => {
    await store().put('small/empty', Buffer.alloc(0), text);
    assert.deepEqual((await store().get('small/empty', 10))?.body, Buffer.alloc(0));
    assert.deepEqual(await collect(store().read('small/empty', new AbortController().signal)), []);
  });

  it('does not get more than the limit', async () => {
    await store().put('small/big', Buffer.alloc(1000), text);
    assert.equal((await failureOf(store().get('small/big', 999))).code, 'object-too-large');
    assert.equal((await store().get('small/big', 1000))?.body.length, 1000);
  });

  it('reads an object piece by piece, up to a limit', async () => {
    const body = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    const etag = await etagOf(store().put('small/pieces', body, text));
    const pieces: Buffer[] = [];
    const scan = (limit: number): Promise<{ etag: string } | undefined> =>
      store().scan('small/pieces', limit, (piece) => pieces.push(Buffer.from(piece)));
    assert.deepEqual(await scan(body.length), { etag });
    assert.ok(Buffer.concat(pieces).equals(body));
    assert.equal((await failureOf(scan(body.length - 1))).code, 'object-too-large');
    assert.equal(await store().scan('small/absent', 10, () => undefined), undefined);
  });

  it('reads a part of an object, or as much of it as there is', async () => {
    await store().put('small/part', Buffer.from('0123456789'), text);
    for (const [from, bytes, expected] of [
      [0, 4, '0123'],
      [3, 4, '3456'],
      [7, 100, '789'],
      [0, 10, '0123456789'],
    ] as const)
      assert.equal((await store().getPart('small/part', from, bytes))?.toString(), expected);
    assert.equal(await store().getPart('small/absent', 0, 4), undefined);
  });

  it('tells an absent object from an empty one', async () => {
    assert.equal(await store().get('absent', 10), undefined);
    assert.equal(await store().head('absent'), undefined);
    const failure = await failureOf(collect(store().read('absent', new AbortController().signal)));
    assert.deepEqual([failure.code, failure.transient], ['object-missing', false]);
  });

  it('keeps odd keys apart', async () => {
    const odd = [
      'o/a b',
      'o/a+b',
      'o/a%20b',
      'o/a%2Bb',
      'o/ä',
      'o/日本',
      'o/🐘',
      "o/q'&<>!*()~",
      'o/run=1/x',
      'o/#?',
      'o/.dot',
    ];
    for (const key of odd) await store().put(key, Buffer.from(key), text);
    for (const key of odd) assert.equal((await store().get(key, 100))?.body.toString(), key);
    assert.deepEqual(keys(await collect(store().list('o/'))).sort(), [...odd].sort());
    await store().upload('o/Ünï côdé+%.gz', partsOf(PART + 1).body(), uploadOptions());
    assert.equal((await store().head('o/Ünï côdé+%.gz'))?.bytes, PART + 1);
    await store().remove([...odd, 'o/Ünï côdé+%.gz']);
    assert.deepEqual(await collect(store().list('o/')), []);
  });

  it('stops reading when the consumer does, and at the signal', async () => {
    await store().upload('read/big.gz', partsOf(2 * PART).body(), uploadOptions());
    // Its checksum is of the whole object, so that the SDK wraps the answer's stream into another one.
    await store().upload('read/one.gz', partsOf(PART).body(), uploadOptions());
    for (let round = 0; round < 40; round += 1) {
      // More rounds than there are sockets: one that stays open would make this hang.
      for await (const chunk of store().read(
        round % 2 === 0 ? 'read/one.gz' : 'read/big.gz',
        new AbortController().signal,
      )) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    const stop = new AbortController();
    const reason = new Error('enough');
    const reading = (async () => {
      for await (const chunk of store().read('read/big.gz', stop.signal)) if (chunk.length > 0) stop.abort(reason);
    })();
    await assert.rejects(reading, (error) => error === reason);
  });

  it('proves itself with a probe, and leaves nothing of it', async () => {
    const result = await store().probe();
    assert.deepEqual(result.keeps, { put: true, complete: true });
    assert.equal(result.listsUploads, true);
    assert.deepEqual(await collect(store().list('_pgsluice-probe')), []);
  });
}

function testConditions(store: () => Store, subject: () => Subject): void {
  const upload = (key: string, bytes: number, replaces: string): ReturnType<Store['upload']> =>
    store().upload(key, partsOf(bytes).body(), uploadOptions({ replaces }));

  it('leaves an object alone that is there, when it may replace nothing', async () => {
    const etag = await etagOf(store().put('once/a', Buffer.from('first'), toFreeKey));
    assert.deepEqual(await store().put('once/a', Buffer.from('second'), toFreeKey), { outcome: 'exists' });
    assert.deepEqual(await store().put('once/a', Buffer.from('first'), toFreeKey), { outcome: 'exists' });
    assert.deepEqual(await store().get('once/a', 10), { body: Buffer.from('first'), etag });
    await store().remove(['once/a']);
    await etagOf(store().put('once/a', Buffer.from('second'), toFreeKey));
  });

  it('lets exactly one of many writers to a free key win, also when they write the same', async () => {
    for (let round = 0; round < 5; round += 1) {
      const bodies = ['a', 'b', 'a', 'b', 'a', 'b'].map((letter) => Buffer.from(letter));
      const answers = await Promise.all(bodies.map((body) => store().put(`race/${round}`, body, toFreeKey)));
      const outcomes = answers.map(({ outcome }) => outcome);
      assert.deepEqual(outcomes.toSorted(), ['exists', 'exists', 'exists', 'exists', 'exists', 'written']);
      assert.deepEqual((await store().get(`race/${round}`, 1))?.body, bodies[outcomes.indexOf('written')]);
    }
  });

  it('replaces the object of the given ETag, and no other', async () => {
    const first = await etagOf(store().put('swap/a', Buffer.from('first'), toFreeKey));
    const second = await etagOf(store().put('swap/a', Buffer.from('second'), { ...text, replaces: first }));
    assert.deepEqual(await store().put('swap/a', Buffer.from('third'), { ...text, replaces: first }), {
      outcome: 'changed',
    });
    assert.deepEqual(await store().get('swap/a', 10), { body: Buffer.from('second'), etag: second });
    await etagOf(store().put('swap/a', Buffer.from('third'), { ...text, replaces: second }));
    await store().remove(['swap/a']);
    assert.deepEqual(await store().put('swap/a', Buffer.from('x'), { ...text, replaces: second }), {
      outcome: 'changed',
    });
    assert.equal(await store().head('swap/a'), undefined);
  });

  for (const [kind, bytes] of [
    ['of one part', 1000],
    ['of several parts', 2 * PART + 7],
  ] as const) {
    it(`uploads an object ${kind} to a free key only, or over the given ETag only, when told so`, async () => {
      const key = `swap/${bytes}.gz`;
      const first = await upload(key, bytes, 'nothing');
      assert.equal((await failureOf(upload(key, bytes, 'nothing'))).code, 'precondition-failed');
      assert.equal((await store().head(key))?.etag, first.etag);
      const second = await upload(key, bytes, first.etag);
      assert.equal((await store().head(key))?.etag, second.etag);
      assert.notEqual(second.etag, first.etag);
      assert.equal((await failureOf(upload(key, bytes, first.etag))).code, 'precondition-failed');
      await store().remove([key]);
      assert.equal((await failureOf(upload(key, bytes, second.etag))).code, 'precondition-failed');
      assert.equal(await store().head(key), undefined);
      assert.equal(await subject().countPending(store()), 0);
    });
  }
}

function testLists(store: () => Store, subject: () => Subject): void {
  it('lists and removes more objects than a page holds, in the order of their keys', async () => {
    const names = Array.from({ length: 1050 }, (_, index) => `many/part-${String(index).padStart(5, '0')}`);
    // Two whole pages and a part of a third; what is removed at once are 1,000, whether they are there or not.
    const all = names.filter((_, index) => index % 40 === 0 || index >= names.length - 2 * subject().keysPerPage);
    for (let at = 0; at < all.length; at += 50) {
      await Promise.all(all.slice(at, at + 50).map((key) => store().put(key, Buffer.from('x'), text)));
    }
    assert.ok(all.length > 2 * subject().keysPerPage);
    assert.deepEqual(keys(await collect(store().list('many/'))), all);
    await store().remove(names);
    assert.deepEqual(await collect(store().list('many/')), []);
  });

  it('lists by the start of the key, which may end within a name', async () => {
    for (const key of ['p/event/1', 'p/events/1', 'p/event/2', 'p/even', 'q/1'])
      await store().put(key, Buffer.from('x'), text);
    assert.deepEqual(keys(await collect(store().list('p/event/'))), ['p/event/1', 'p/event/2']);
    assert.deepEqual(keys(await collect(store().list('p/event'))), ['p/event/1', 'p/event/2', 'p/events/1']);
    assert.deepEqual((await collect(store().listFolders('p/'))).sort(), ['event', 'events']);
    assert.deepEqual(await collect(store().listFolders('p/event/')), []);
    await store().remove(['p/event/1', 'p/event/2']);
    assert.deepEqual(await collect(store().listFolders('p/')), ['events']);
  });

  it('lists nothing where nothing is', async () => {
    assert.deepEqual(await collect(store().list('nowhere/')), []);
    assert.deepEqual(await collect(store().listFolders('nowhere/')), []);
    assert.deepEqual(await store().listUploads('nowhere/'), []);
  });

  it('shows unfinished uploads in the list of uploads only', async () => {
    const uploadId = await leaveUpload(store());
    const pending = await store().listUploads('');
    assert.ok(typeof pending !== 'string');
    assert.ok(pending.some((upload) => upload.uploadId === uploadId && upload.key === 'gone.gz'));
    assert.deepEqual(await store().listUploads('gon'), pending);
    assert.deepEqual(await store().listUploads('other'), []);
    assert.deepEqual(await collect(store().list('gone')), []);
    await store().abortUpload('gone.gz', uploadId);
  });

  it('sees nothing of a neighbour whose name begins alike', async () => {
    const neighbour = await subject().open();
    await neighbour.put('alike/theirs', Buffer.from('x'), text);
    await store().put('alike/ours', Buffer.from('x'), text);
    assert.deepEqual(keys(await collect(store().list('alike/'))), ['alike/ours']);
    assert.deepEqual(keys(await collect(neighbour.list(''))), ['alike/theirs']);
    neighbour.close();
  });
}

/** Expects a put to go through, and gives the ETag that it resolved to. */
export async function etagOf(putting: ReturnType<Store['put']>): Promise<string> {
  const result = await putting;
  assert.ok(result.outcome === 'written', result.outcome);
  assert.match(result.etag, /^[^"]+$/);
  return result.etag;
}

/** Leaves an upload behind as a killed process would: its abort is not heard. */
async function leaveUpload(store: Store): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  // Never stopped: it holds no timer and no socket while its body is stalled.
  const upload = store.upload('gone.gz', thenWait(2, forever), uploadOptions({ onUploadStarted: resolve }));
  // When a test aborts it from outside, a part that is still on the way fails.
  upload.catch(() => undefined);
  return promise;
}

/** Yields parts, then calls `onWait` and waits for `end`. */
export async function* thenWait(parts: number, end: () => Promise<never>, onWait?: () => void): AsyncGenerator<Buffer> {
  for (let part = 0; part < parts; part += 1) yield Buffer.alloc(PART, randomUUID());
  onWait?.();
  await end();
}

async function* toBody(pieces: Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}
