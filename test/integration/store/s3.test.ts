import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { NEVER } from '../../../src/base/signals.ts';
import { parseLocation } from '../../../src/config/location.ts';
import type { DestinationConfig } from '../../../src/config/schema.ts';
import type { S3Timeouts } from '../../../src/store/s3/client.ts';
import { openS3Store } from '../../../src/store/s3/s3.ts';
import { openS3Target } from '../../../src/store/s3/under.ts';
import { uploadToS3 } from '../../../src/store/s3/upload.ts';
import type { Store } from '../../../src/store/store.ts';
import type { StoreTrouble } from '../../../src/store/trouble.ts';
import { eventually } from '../../support/cli.ts';
import { type S3Proxy, startProxy } from '../../support/s3-proxy.ts';
import { destinationOf, type LocalS3, startS3 } from '../../support/s3-server.ts';
import {
  collect,
  contentOf,
  etagOf,
  failureOf,
  forever,
  PART,
  partsOf,
  sha256Of,
  testConformance,
  thenWait,
  uploadOptions,
} from './conformance.ts';

const BUCKET = 'archive';
const text = { contentType: 'application/json' };
const toFreeKey = { ...text, replaces: 'nothing' };

function openAt(destination: DestinationConfig, timeouts?: Partial<S3Timeouts>): Store {
  if (destination.location.kind !== 's3') throw new Error('not S3');
  return openS3Store(destination, destination.location, NEVER, timeouts);
}

async function startBehindProxy(): Promise<{ s3: LocalS3; proxy: S3Proxy }> {
  const s3 = await startS3();
  await s3.createBucket(BUCKET);
  return { s3, proxy: await startProxy(s3) };
}

testConformance('S3', async () => {
  const { s3, proxy } = await startBehindProxy();
  proxy.keysPerPage = 20;
  let opened = 0;
  return {
    keysPerPage: proxy.keysPerPage,
    async open() {
      opened += 1;
      const prefix = `pg${'s'.repeat(opened - 1)}/`;
      return openAt(destinationOf({ ...s3, endpoint: proxy.endpoint }, BUCKET, { prefix }));
    },
    async countPending() {
      return proxy.pendingUploads().filter(({ key }) => !key.endsWith('gone.gz')).length;
    },
    async close() {
      await proxy.stop();
      await s3.stop();
    },
  };
});

describe('S3 with faults', () => {
  let s3: LocalS3;
  let proxy: S3Proxy;
  let store: Store;
  const open = (overrides: Partial<DestinationConfig> = {}, timeouts?: Partial<S3Timeouts>): Store =>
    openAt(destinationOf({ ...s3, endpoint: proxy.endpoint }, BUCKET, overrides), timeouts);

  before(async () => {
    ({ s3, proxy } = await startBehindProxy());
    store = open();
  });
  afterEach(() => {
    proxy.reset();
  });
  after(async () => {
    store.close();
    await proxy.stop();
    await s3.stop();
  });

  async function uploadWhole(key: string, bytes = PART + 7): Promise<void> {
    const { body, sha256 } = partsOf(bytes);
    await store.upload(key, body(), uploadOptions());
    assert.equal(await sha256Of(store, key), sha256);
    assert.deepEqual(proxy.pendingUploads(), []);
  }

  /** Does something while the next such request is held up, which gets there after it. */
  function overtaking<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const done = Promise.withResolvers<T>();
    const held = proxy.order(operation, { kind: 'hold', until: done.promise });
    void held.firstHit.then(work).then(done.resolve, done.reject);
    return done.promise;
  }

  async function uploadFails(key: string, using = store): Promise<Awaited<ReturnType<typeof failureOf>>> {
    const failure = await failureOf(using.upload(key, partsOf(PART + 7).body(), uploadOptions()));
    assert.equal(await store.head(key), undefined);
    assert.deepEqual(proxy.pendingUploads(), []);
    return failure;
  }

  for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'HeadObject']) {
    it(`gets over two SlowDown answers to ${operation}`, async () => {
      const fault = proxy.order(operation, { kind: 'error', status: 503, code: 'SlowDown' }, 2);
      await uploadWhole(`slow/${operation}`);
      assert.equal(fault.hits, 2);
    });
  }

  it('tells of a request that is sent again, and that it is over', async () => {
    const told: StoreTrouble[] = [];
    const destination = destinationOf({ ...s3, endpoint: proxy.endpoint }, BUCKET);
    const { location } = destination;
    assert.ok(location.kind === 's3');
    const watched = openS3Store(destination, location, NEVER, {}, (trouble) => told.push(trouble));
    proxy.order('PutObject', { kind: 'error', status: 503, code: 'SlowDown' }, 2);
    await watched.put('told', Buffer.from('x'), text);
    assert.deepEqual(
      told.map((trouble) => [trouble.what, trouble.request, trouble.what === 'retried' ? trouble.failure.code : '']),
      [
        ['retried', 'PutObject of pg/told', 'throttled'],
        ['retried', 'PutObject of pg/told', 'throttled'],
        ['over', 'PutObject of pg/told', ''],
      ],
    );
    watched.close();
  });

  it('gets over a connection that is reset in the middle of a part', async () => {
    const fault = proxy.order('UploadPart', { kind: 'reset', afterBytes: 1_000_000 }, 2);
    await uploadWhole('reset');
    assert.equal(fault.hits, 2);
  });

  it('takes an upload for done when only the answer to Complete was lost', async () => {
    const fault = proxy.order('CompleteMultipartUpload', { kind: 'lose-answer' });
    await uploadWhole('lost');
    assert.equal(fault.hits, 1);
    assert.ok(proxy.seen('CompleteMultipartUpload').some(({ status }) => status === 404));
  });

  it('does not take an older object of the same size for its own when Complete fails', async () => {
    await uploadWhole('older');
    proxy.order('CompleteMultipartUpload', { kind: 'error', status: 404, code: 'NoSuchUpload' }, 9);
    const failure = await failureOf(store.upload('older', partsOf(PART + 7).body(), uploadOptions()));
    assert.deepEqual([failure.code, failure.transient], ['upload-vanished', true]);
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  it('takes an object of one part for done when all answers to the put were lost', async () => {
    proxy.order('PutObject', { kind: 'lose-answer' }, 3);
    await uploadWhole('lost-put', 1000);
  });

  it('takes an error inside of a 200 answer to Complete for an error, and tries again', async () => {
    const fault = proxy.order('CompleteMultipartUpload', { kind: 'error-in-200', code: 'InternalError' }, 1);
    await uploadWhole('error-in-200');
    assert.equal(fault.hits, 1);
    proxy.order('CompleteMultipartUpload', { kind: 'error-in-200', code: 'InternalError' }, 9);
    const failure = await uploadFails('error-in-200-always');
    assert.deepEqual([failure.code, failure.transient], ['server-error', true]);
  });

  it('calls an object short that the server calls finished', async () => {
    const direct = openAt(destinationOf(s3, BUCKET));
    // Replacing the object right before it is looked at is as good as a server that lost a part.
    const replaced = overtaking('HeadObject', () => direct.put('short', Buffer.from('short'), text));
    const failure = await failureOf(store.upload('short', partsOf(PART + 7).body(), uploadOptions()));
    await replaced;
    assert.deepEqual([failure.code, failure.transient], ['object-size-mismatch', true]);
    direct.close();
  });

  it('fails with the first cause when the endpoint goes down in the middle, and finds the rest later', async () => {
    const hasPart = (): boolean =>
      proxy.requests.some(
        ({ operation, key, status }) => operation === 'UploadPart' && key === 'pg/down' && status === 200,
      );
    async function* body(): AsyncGenerator<Buffer> {
      for (;;) {
        if (hasPart()) await proxy.down();
        yield Buffer.alloc(PART);
      }
    }
    const failure = await failureOf(store.upload('down', body(), uploadOptions()));
    assert.ok(['connection-refused', 'connection-lost'].includes(failure.code), failure.code);
    assert.equal(failure.transient, true);
    await proxy.up();
    const pending = await store.listUploads('');
    assert.ok(typeof pending !== 'string');
    assert.deepEqual(
      pending.map(({ key }) => key),
      ['down'],
    );
    await store.abortUpload('down', pending[0]?.uploadId ?? '');
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  for (const [limit, timeouts] of [
    ['silence', { idleMs: 300 }],
    ['the whole request', { requestMs: 500 }],
  ] as const) {
    it(`does not wait for ever for a server that does not answer, by the limit on ${limit}`, async () => {
      const impatient = open({}, timeouts);
      for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']) {
        const fault = proxy.order(operation, { kind: 'stall' }, 9);
        const failure = await uploadFails(`stalled/${operation}`, impatient);
        assert.deepEqual([failure.code, failure.transient], ['timeout', true]);
        fault.cancel();
      }
      impatient.close();
    });
  }

  it('cuts parts that are on the way to a stalled server when the signal aborts', async () => {
    const fault = proxy.order('UploadPart', { kind: 'stall' }, 9);
    const stop = new AbortController();
    const reason = new Error('drain');
    void fault.firstHit.then(() => {
      stop.abort(reason);
    });
    const upload = store.upload('cut', partsOf(5 * PART).body(), uploadOptions({ signal: stop.signal }));
    await assert.rejects(upload, (error) => error === reason);
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  it('leaves the memory of a part alone that is still being sent, though it was answered already', async () => {
    const one = open({ partsInFlight: 1 });
    const parts = [1, 2, 3, 4].map((value) => Buffer.alloc(PART, value));
    const [etag, content] = [createHash('md5').update(parts[0]!).digest('hex'), createHash('sha256')];
    const madeThird = Promise.withResolvers<undefined>();
    async function* body(): AsyncGenerator<Buffer> {
      for (const part of parts) {
        content.update(part);
        yield part;
        if (part === parts[2]) madeThird.resolve(undefined);
      }
    }
    proxy.order('UploadPart', { kind: 'answer-early', etag: `"${etag}"`, until: madeThird.promise });
    const firstIsOver = madeThird.promise.then(() =>
      eventually('the first part is there', () => Promise.resolve(proxy.seen('UploadPart')[0]?.isOver)),
    );
    proxy.order('CompleteMultipartUpload', { kind: 'hold', until: firstIsOver });
    await one.upload('early', body(), uploadOptions());
    assert.equal(await sha256Of(one, 'early'), content.digest('hex'));
    one.close();
  });

  it('fails at once when a part is answered without an ETag, while the body is stalled', async () => {
    proxy.order('UploadPart', { kind: 'no-etag' });
    const { code, message } = await failureOf(store.upload('no-etag', thenWait(2, forever), uploadOptions()));
    assert.equal(code, 'answer-unreadable');
    assert.match(message, /part 1 of pg\/no-etag .*without an ETag/);
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  it('takes no page of something else, and no empty answer, for a list of nothing', async () => {
    await uploadWhole('listed/one');
    for (const body of ['<html><head/><body><p>Log in first.</p></body></html>', '']) {
      proxy.order('ListObjectsV2', { kind: 'other-page', body }, 2);
      for (const work of [() => collect(store.list('listed/')), () => collect(store.listFolders(''))]) {
        const { code, transient, hint } = await failureOf(work());
        assert.deepEqual([code, transient], ['answer-unreadable', true]);
        assert.match(hint, /proxies/);
      }
    }
    assert.equal((await collect(store.list('listed/'))).length, 1);
    assert.deepEqual(await collect(store.list('nothing-here/')), []);
  });

  it('fails an object of more parts than S3 takes by the first byte of the next one, and leaves nothing of it', async () => {
    const destination = destinationOf({ ...s3, endpoint: proxy.endpoint }, BUCKET);
    assert.ok(destination.location.kind === 's3');
    const target = openS3Target(destination, destination.location, NEVER, () => undefined);
    const upload = (key: string, body: AsyncGenerator<Buffer>): Promise<unknown> =>
      uploadToS3(target, `pg/${key}`, body, uploadOptions(), 3);
    const whole = partsOf(3 * PART);
    await upload('most', whole.body());
    assert.equal(await sha256Of(store, 'most'), whole.sha256);
    async function* larger(): AsyncGenerator<Buffer> {
      yield* whole.body();
      yield Buffer.alloc(1);
      await forever();
    }
    const { code, stage, transient, message, hint } = await failureOf(upload('more', larger()));
    assert.deepEqual([code, stage, transient], ['object-too-large', 'upload', false]);
    assert.match(message, /^pg\/more in the bucket archive has more than 15\.0 MiB: 3 parts of 5\.0 MiB/);
    assert.match(hint, /larger partSize .*segments\.targetSize/);
    assert.equal(await store.head('more'), undefined);
    assert.deepEqual(proxy.pendingUploads(), []);
    target.client.destroy();
  });

  it('takes the memory of parts back that were cut on their way, and uses it again', async ({ mock }) => {
    const destination = destinationOf({ ...s3, endpoint: proxy.endpoint }, BUCKET, { partsInFlight: 3 });
    assert.ok(destination.location.kind === 's3');
    const target = openS3Target(destination, destination.location, NEVER, () => undefined);
    const taken = mock.method(target.partMemory, 'take');
    const given = mock.method(target.partMemory, 'giveBack');
    for (let round = 1; round <= 3; round += 1) {
      proxy.order('UploadPart', { kind: 'stall' }, 2);
      const third = proxy.order('UploadPart', { kind: 'error', status: 403, code: 'AccessDenied' });
      const upload = uploadToS3(target, 'pg/cut', thenWait(4, forever), uploadOptions());
      assert.equal((await failureOf(upload)).code, 'access-denied');
      assert.deepEqual([third.hits, given.mock.callCount()], [1, 3 * round]);
    }
    const whole = taken.mock.calls.map(({ result }) => result?.buffer).filter((memory) => memory?.byteLength === PART);
    // The one that was being filled is another each time.
    assert.equal(new Set(whole).size, 3 + 3);
    target.client.destroy();
  });

  it('tries again when the abort of a failed upload fails too', async () => {
    const cause = new Error('the source broke');
    const fault = proxy.order('AbortMultipartUpload', { kind: 'error', status: 500, code: 'InternalError' }, 4);
    await assert.rejects(
      store.upload(
        'abort',
        thenWait(3, () => Promise.reject(cause)),
        uploadOptions(),
      ),
      (error) => error === cause,
    );
    assert.equal(fault.hits, 4);
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  it('aborts only when no part is on the way any more', async () => {
    proxy.order('UploadPart', { kind: 'throttle', bytesPerSecond: 20 * PART }, 99);
    const cause = new Error('the source broke');
    await assert.rejects(
      store.upload(
        'order',
        thenWait(4, () => Promise.reject(cause)),
        uploadOptions(),
      ),
      (error) => error === cause,
    );
    assert.equal(proxy.requests.findLast(({ key }) => key.endsWith('order'))?.operation, 'AbortMultipartUpload');
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  it('says created when only the answer to a create-only put was lost', async () => {
    proxy.order('PutObject', { kind: 'lose-answer' });
    assert.equal((await store.put('once/lost', Buffer.from('mine'), toFreeKey)).outcome, 'written');
    proxy.order('PutObject', { kind: 'lose-answer' }, 3);
    assert.equal((await store.put('once/lost3', Buffer.from('mine'), toFreeKey)).outcome, 'written');
  });

  it('waits for the other one on a conditional conflict', async () => {
    proxy.order('PutObject', { kind: 'error', status: 409, code: 'ConditionalRequestConflict' }, 2);
    assert.equal((await store.put('once/conflict', Buffer.from('mine'), toFreeKey)).outcome, 'written');
  });

  it('does without the condition where the server refuses it, and without atomicity where it ignores it', async () => {
    proxy.order('PutObject', { kind: 'error', status: 501, code: 'NotImplemented' });
    assert.equal((await store.put('once/refused', Buffer.from('mine'), toFreeKey)).outcome, 'written');
    proxy.keepsConditions = false;
    assert.equal((await store.put('once/refused', Buffer.from('other'), toFreeKey)).outcome, 'exists');
    assert.deepEqual((await store.probe()).keeps, { put: false, complete: false });
    proxy.keepsConditions = true;
    proxy.conditional.delete('CompleteMultipartUpload');
    assert.deepEqual((await store.probe()).keeps, { put: true, complete: false });
    proxy.conditional.add('CompleteMultipartUpload');
    assert.deepEqual(proxy.pendingUploads(), []);
  });

  for (const form of ['bare', 'quoted'] as const) {
    it(`replaces by an ETag where the server wants it ${form}`, async () => {
      proxy.conditions.etagForm = form;
      const strict = open();
      let etag = await etagOf(strict.put('etag/put', Buffer.from('1'), text));
      for (const body of ['2', '3'])
        etag = await etagOf(strict.put('etag/put', Buffer.from(body), { ...text, replaces: etag }));
      const refused = proxy.seen('PutObject').filter(({ status }) => status === 412).length;
      assert.equal(refused, form === 'bare' ? 0 : 1, 'the form is found out once');
      const wrong = await strict.put('etag/put', Buffer.from('4'), { ...text, replaces: 'abc' });
      assert.equal(wrong.outcome, 'changed');
      strict.close();
      for (const bytes of [100, PART + 1]) {
        const fresh = open();
        const first = await fresh.upload('etag/up', partsOf(bytes).body(), uploadOptions());
        const replaces = first.etag;
        const second = await fresh.upload('etag/up', partsOf(bytes).body(), uploadOptions({ replaces }));
        assert.equal((await store.head('etag/up'))?.etag, second.etag);
        const late = fresh.upload('etag/up', partsOf(bytes).body(), uploadOptions({ replaces }));
        assert.equal((await failureOf(late)).code, 'precondition-failed');
        assert.equal((await store.head('etag/up'))?.etag, second.etag);
        fresh.close();
      }
      assert.deepEqual(proxy.pendingUploads(), []);
      proxy.conditions.etagForm = 'any';
    });
  }

  it('says written when only the answer to a put over an ETag was lost', async () => {
    const etag = await etagOf(store.put('etag/lost', Buffer.from('1'), text));
    for (const times of [1, 3]) {
      proxy.order('PutObject', { kind: 'lose-answer' }, times);
      const replaces = (await store.head('etag/lost'))?.etag ?? '';
      const now = await etagOf(store.put('etag/lost', Buffer.from(`2 ${times}`), { ...text, replaces }));
      assert.equal((await store.head('etag/lost'))?.etag, now);
    }
    assert.equal((await store.put('etag/lost', Buffer.from('3'), { ...text, replaces: etag })).outcome, 'changed');
  });

  it('sends what is made a piece at a time as it sends a body in memory, and makes it anew for each try', async () => {
    const { content, body, made } = contentOf(700_000);
    await etagOf(store.put('made/buffer', body, text));
    const { headers } = proxy.seen('PutObject')[0]!;
    for (const [fault, times] of [
      [{ kind: 'error', status: 500, code: 'InternalError' }, 2],
      [{ kind: 'reset', afterBytes: 200_000 }, 1],
      [{ kind: 'lose-answer' }, 1],
    ] as const) {
      const before = made();
      proxy.reset();
      proxy.order('PutObject', fault, times);
      const key = `made/${fault.kind}`;
      assert.equal((await store.put(key, content, toFreeKey)).outcome, 'written');
      assert.deepEqual((await store.get(key, 1e6))?.body, body);
      assert.equal(made() - before, times + 1, fault.kind);
      const sent = proxy.seen('PutObject').at(-1)!.headers;
      for (const name of [
        'content-length',
        'x-amz-content-sha256',
        'x-amz-checksum-crc32',
        'x-amz-sdk-checksum-algorithm',
      ])
        assert.equal(sent[name], headers[name], name);
      for (const name of ['transfer-encoding', 'content-encoding', 'x-amz-trailer', 'expect'])
        assert.equal(sent[name], undefined, name);
    }
    proxy.reset();
    const plain = open({ checksums: 'when-required' });
    await etagOf(plain.put('made/plain', content, text));
    assert.equal(proxy.seen('PutObject')[0]!.headers['x-amz-checksum-crc32'], undefined);
    plain.close();
  });

  it('does not take the object of another writer for its own, larger or of the same bytes, when it comes too late', async () => {
    for (const theirs of ['mine', 'theirs, which is larger']) {
      const key = `etag/late-${theirs.length}`;
      const direct = openAt(destinationOf(s3, BUCKET));
      const overtaken = overtaking('PutObject', () =>
        direct.put(key, Buffer.from(theirs), { ...text, replaces: 'nothing' }),
      );
      assert.equal((await store.put(key, Buffer.from('mine'), toFreeKey)).outcome, 'exists');
      assert.equal((await overtaken).outcome, 'written');
      direct.close();
    }
  });

  it('takes the ETag of what is there where the server answers none, if it is its own', async () => {
    proxy.answersETags = false;
    const { etag } = await store.upload('etag/none', partsOf(PART + 1).body(), uploadOptions());
    assert.equal((await store.head('etag/none'))?.etag, etag);
    const direct = openAt(destinationOf(s3, BUCKET));
    const replaced = overtaking('HeadObject', () => direct.put('etag/none', Buffer.alloc(PART + 1), text));
    const failure = await failureOf(store.upload('etag/none', partsOf(PART + 1).body(), uploadOptions()));
    assert.deepEqual([failure.code, failure.transient], ['object-changed', true]);
    await replaced;
    direct.close();
    proxy.answersETags = true;
  });

  it('removes one by one where the server cannot remove many, and reports what was not removed', async () => {
    await store.put('rm/a', Buffer.from('x'), text);
    await store.put('rm/b', Buffer.from('x'), text);
    const fresh = open();
    proxy.order('DeleteObjects', { kind: 'error', status: 501, code: 'NotImplemented' });
    await fresh.remove(['rm/a', 'rm/b', 'rm/c']);
    assert.deepEqual(await collect(store.list('rm/')), []);
    proxy.order('DeleteObject', { kind: 'error', status: 403, code: 'AccessDenied' });
    const failure = await failureOf(fresh.remove(['rm/a']));
    assert.equal(failure.code, 'access-denied');
    assert.match(failure.hint, /s3:DeleteObject/);
    fresh.close();
  });

  it('removes one by one where many at once may not be removed, and asks for many only once', async () => {
    const fresh = open();
    for (const key of ['a', 'b']) await store.put(`rm/${key}`, Buffer.from('x'), text);
    const refused = proxy.order('DeleteObjects', { kind: 'error', status: 403, code: 'AccessDenied' }, 9);
    await fresh.remove(['rm/a']);
    await fresh.remove(['rm/b', 'rm/c']);
    assert.deepEqual(await collect(store.list('rm/')), []);
    assert.equal(refused.hits, 1);
    fresh.close();
  });

  it('says unsupported where uploads cannot be listed', async () => {
    proxy.listsUploads = false;
    assert.equal(await store.listUploads(''), 'unsupported');
    assert.equal((await store.probe()).listsUploads, false);
    proxy.listsUploads = true;
    for (const [status, code] of [
      [501, 'NotImplemented'],
      [405, 'MethodNotAllowed'],
    ] as const) {
      proxy.order('ListMultipartUploads', { kind: 'error', status, code });
      assert.equal(await store.listUploads(''), 'unsupported');
    }
    proxy.order('ListMultipartUploads', { kind: 'error', status: 403, code: 'AccessDenied' });
    assert.equal(await store.listUploads(''), 'forbidden');
  });

  it('lists uploads over several pages', async () => {
    proxy.uploadsPerPage = 2;
    const signals = [1, 2, 3, 4, 5].map(() => new AbortController());
    const running = signals.map(({ signal }, index) => {
      const { promise, resolve } = Promise.withResolvers<string>();
      const options = uploadOptions({ signal, onUploadStarted: resolve });
      return { started: promise, ended: store.upload(`pages/${index}`, thenWait(2, forever), options) };
    });
    for (const { ended } of running) ended.catch(() => undefined);
    await Promise.all(running.map(({ started }) => started));
    const pending = await store.listUploads('pages/');
    assert.ok(typeof pending !== 'string');
    assert.deepEqual(
      pending.map(({ key }) => key),
      [0, 1, 2, 3, 4].map((index) => `pages/${index}`),
    );
    for (const controller of signals) controller.abort();
    await Promise.allSettled(running.map(({ ended }) => ended));
    assert.deepEqual(proxy.pendingUploads(), []);
    proxy.uploadsPerPage = 1000;
  });

  it('reports an answer that breaks off while it is read', async () => {
    await uploadWhole('broken-read');
    proxy.order('GetObject', { kind: 'cut-answer', afterBytes: 100_000 });
    const failure = await failureOf(sha256Of(store, 'broken-read'));
    assert.deepEqual([failure.code, failure.transient], ['connection-lost', true]);
  });

  it('takes an answer that breaks off for a lost connection, whatever it began with', async () => {
    for (const read of [() => store.get('absent/a', 10), () => sha256Of(store, 'absent/a')]) {
      const cut = proxy.order('GetObject', { kind: 'cut-answer', afterBytes: 20 }, 9);
      const failure = await failureOf(read());
      assert.deepEqual([failure.code, failure.transient], ['connection-lost', true]);
      cut.cancel();
    }
    assert.equal(await store.get('absent/a', 10), undefined);
  });

  it('tells how far the clock is off', async () => {
    proxy.clockOffsetMs = -3_600_000;
    const { clockSkewMs = 0 } = await store.probe();
    proxy.clockOffsetMs = 0;
    assert.equal(Math.round(clockSkewMs / 60_000), 60);
  });

  it('sends the settings of the destination with data, and only encryption with journals', async () => {
    const settings = {
      storageClass: 'STANDARD_IA',
      serverSideEncryption: 'aws:kms',
      kmsKeyId: 'alias/archive',
      tags: { team: 'data & co', 'cost center': 'a+b' },
    } as const;
    const special = open(settings);
    await special.upload('set/multi', partsOf(PART + 1).body(), uploadOptions({ contentEncoding: 'gzip' }));
    await special.upload('set/single', partsOf(5).body(), uploadOptions());
    await special.put('set/journal', Buffer.from('{}'), toFreeKey);
    for (const seen of [proxy.seen('CreateMultipartUpload')[0], proxy.seen('PutObject')[0]]) {
      assert.equal(seen?.headers['x-amz-storage-class'], 'STANDARD_IA');
      assert.equal(seen.headers['x-amz-server-side-encryption'], 'aws:kms');
      assert.equal(seen.headers['x-amz-server-side-encryption-aws-kms-key-id'], 'alias/archive');
      assert.deepEqual(Object.fromEntries(new URLSearchParams(seen.headers['x-amz-tagging'] as string)), settings.tags);
      assert.equal(seen.headers['content-type'], 'application/gzip');
    }
    assert.equal(proxy.seen('CreateMultipartUpload')[0]?.headers['content-encoding'], 'gzip');
    const journal = proxy.seen('PutObject')[1]?.headers;
    assert.equal(journal?.['x-amz-storage-class'], 'STANDARD');
    assert.equal(journal['x-amz-server-side-encryption'], 'aws:kms');
    assert.equal(journal['x-amz-tagging'], undefined);
    assert.equal(journal['if-none-match'], '*');
    special.close();
  });

  it('holds data objects and manifests alone, with a checksum on each part, and says which right that takes', async () => {
    const special = open({ objectLock: { mode: 'COMPLIANCE', retainMs: 86_400_000 } });
    const held = { ...uploadOptions(), isHeld: true };
    await special.upload('held/multi', partsOf(PART + 1).body(), held);
    await special.upload('held/single', partsOf(5).body(), held);
    await special.put('held/manifest', Buffer.from('{}'), { ...toFreeKey, isHeld: true });
    await special.put('held/journal', Buffer.from('{}'), toFreeKey);
    const writes = proxy.requests.filter(({ operation }) => ['CreateMultipartUpload', 'PutObject'].includes(operation));
    assert.deepEqual(
      writes.map(({ key, headers }) => [key.slice(8), headers['x-amz-object-lock-mode'] ?? 'none']),
      [
        ['multi', 'COMPLIANCE'],
        ['single', 'COMPLIANCE'],
        ['manifest', 'COMPLIANCE'],
        ['journal', 'none'],
      ],
    );
    for (const { headers } of writes.slice(0, 3)) {
      const until = Date.parse(headers['x-amz-object-lock-retain-until-date'] as string);
      assert.equal(Math.round((until - Date.now()) / 3_600_000), 24);
    }
    for (const { headers } of [...proxy.seen('UploadPart'), ...writes.slice(1)])
      assert.ok(headers['x-amz-checksum-crc32'] !== undefined);
    assert.deepEqual(proxy.seen('PutObjectRetention'), [], 'an object without versions is not touched again');
    for (const [status, code, message, expected, hint] of [
      [403, 'AccessDenied', 'no', 'access-denied', /s3:PutObject, and s3:PutObjectRetention for objectLock/],
      [400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration', 'object-lock-missing', /bucket archive/],
    ] as const) {
      proxy.order('PutObject', { kind: 'error', status, code, message });
      const failure = await failureOf(special.put('held/no', Buffer.from('{}'), { ...text, isHeld: true }));
      assert.equal(failure.code, expected);
      assert.match(failure.hint, hint);
    }
    special.close();
  });

  it('tells what is not held from what nobody may see', async () => {
    const error = (status: number, code: string, times = 1) =>
      proxy.order('GetObjectRetention', { kind: 'error', status, code }, times);
    for (const [status, code, expected] of [
      [404, 'NoSuchObjectLockConfiguration', 'none'],
      [501, 'NotImplemented', 'none'],
      [403, 'AccessDenied', 'unknown'],
    ] as const) {
      const special = open({ objectLock: { mode: 'GOVERNANCE', retainMs: 86_400_000 } });
      await special.put('held/read', Buffer.from('{}'), text);
      const asked = error(status, code, 9);
      assert.deepEqual([await special.hold('held/read'), await special.hold('held/read')], [expected, expected]);
      assert.deepEqual([asked.hits, await special.hold('held/absent')], [1, 'none'], 'it is asked for once');
      special.close();
      asked.cancel();
    }
    assert.equal(await store.hold('held/read'), 'none', 'nothing is asked for where nothing is to be held');
  });

  it('sends the checksums that are made for it in place of its own, where there are to be any', async () => {
    const made: number[] = [];
    const crc32Of = (bytes: Buffer): number => {
      made.push(crc32(bytes));
      return crc32(bytes);
    };
    await store.upload('sums/made', partsOf(PART + 1).body(), uploadOptions({ crc32: crc32Of }));
    await store.upload('sums/one', partsOf(5).body(), uploadOptions({ crc32: crc32Of }));
    const sent = [...proxy.seen('UploadPart'), ...proxy.seen('PutObject')];
    assert.deepEqual(
      sent.map(({ headers }) => Buffer.from(String(headers['x-amz-checksum-crc32']), 'base64').readUInt32BE()),
      made,
    );
    assert.equal(made.length, 3);
    const plain = open({ checksums: 'when-required' });
    await plain.upload('sums/none', partsOf(5).body(), uploadOptions({ crc32: () => 7 }));
    plain.close();
    assert.equal(proxy.seen('PutObject').at(-1)?.headers['x-amz-checksum-crc32'], undefined);
  });

  it('sends checksums in plain headers, or none when only required ones are asked for', async () => {
    await store.upload('sums/on', partsOf(PART + 1).body(), uploadOptions());
    const plain = open({ checksums: 'when-required' });
    await plain.upload('sums/off', partsOf(PART + 1).body(), uploadOptions());
    plain.close();
    const [on, , off] = proxy.seen('UploadPart');
    assert.ok(on?.headers['x-amz-checksum-crc32'] !== undefined);
    for (const seen of proxy.seen('UploadPart')) {
      assert.equal(seen.headers['transfer-encoding'], undefined);
      assert.equal(seen.headers['x-amz-trailer'], undefined);
      assert.equal(seen.headers['expect'], undefined);
    }
    assert.equal(off?.headers['x-amz-checksum-crc32'], undefined);
  });

  for (const [status, code, expected, transient] of [
    [403, 'AccessDenied', 'access-denied', false],
    [404, 'NoSuchBucket', 'bucket-missing', false],
    [403, 'InvalidAccessKeyId', 'credentials-rejected', false],
    [403, 'SignatureDoesNotMatch', 'credentials-rejected', false],
    [400, 'ExpiredToken', 'credentials-expired', true],
    [301, 'PermanentRedirect', 'region-wrong', false],
    [400, 'AuthorizationHeaderMalformed', 'region-wrong', false],
    [500, 'InternalError', 'server-error', true],
    [502, 'BadGateway', 'server-error', true],
    [429, 'TooManyRequests', 'throttled', true],
    [503, 'SlowDown', 'throttled', true],
    [501, 'NotImplemented', 'not-implemented', false],
    [400, 'EntityTooSmall', 'part-too-small', false],
    [400, 'KMS.DisabledException', 'kms-denied', false],
    [400, 'BadDigest', 'corrupted-in-transit', true],
    [400, 'InvalidArgument', 'request-refused', false],
  ] as const) {
    it(`calls ${status} ${code} ${expected}`, async () => {
      proxy.order('UploadPart', { kind: 'error', status, code }, 99);
      const failure = await uploadFails(`codes/${code}`);
      assert.deepEqual([failure.code, failure.transient, failure.stage], [expected, transient, 'upload']);
      assert.match(failure.message, new RegExp(`UploadPart of pg/codes/${code} in the bucket archive`));
    });
  }

  it('says which permission is missing', async () => {
    const denied = { kind: 'error', status: 403, code: 'AccessDenied' } as const;
    for (const [operation, permission, work] of [
      ['PutObject', /s3:PutObject/, () => store.put('a', Buffer.from('x'), text)],
      ['GetObject', /s3:GetObject/, () => store.get('a', 10)],
      ['HeadObject', /s3:GetObject/, () => store.head('a')],
      ['ListObjectsV2', /s3:ListBucket/, () => collect(store.list(''))],
      ['AbortMultipartUpload', /s3:AbortMultipartUpload/, () => store.abortUpload('a', 'id')],
    ] as const) {
      proxy.order(operation, denied);
      const failure = await failureOf(work());
      assert.equal(failure.code, 'access-denied');
      assert.match(failure.hint, permission);
    }
  });

  it('explains a bucket, a port and a name that are not there, without the secret', async () => {
    const location = parseLocation('s3://nowhere/x');
    assert.ok('kind' in location);
    const noBucket = await failureOf(open({ location }).probe());
    const noPort = await failureOf(open({ endpoint: 'http://127.0.0.1:1' }).probe());
    const noName = await failureOf(open({ endpoint: 'http://nowhere.invalid' }).probe());
    const noTls = await failureOf(open({ endpoint: proxy.endpoint.replace('http:', 'https:') }).probe());
    assert.deepEqual(
      [noBucket, noPort, noName, noTls].map(({ code }) => code),
      ['bucket-missing', 'connection-refused', 'dns', 'tls'],
    );
    for (const failure of [noBucket, noPort, noName, noTls]) {
      assert.ok(!JSON.stringify(failure).includes(s3.secretAccessKey));
    }
  });

  it('proves itself where the bucket holds other things beside', async () => {
    const { clockSkewMs } = await store.probe();
    assert.ok(clockSkewMs !== undefined && Math.abs(clockSkewMs) < 60_000);
    const beside = openAt(destinationOf(s3, BUCKET, { prefix: '' }));
    assert.ok((await collect(beside.listFolders(''))).includes('pg'));
    beside.close();
  });
});
