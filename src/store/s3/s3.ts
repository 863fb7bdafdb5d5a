/** A bucket, or a prefix in one, as a {@link Store}. With its neighbours s3-*.ts the only importer of the AWS SDK. */
import {
  AbortMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { fail, type FailureError } from '../../base/errors.ts';
import { linkSignals } from '../../base/signals.ts';
import type { Signing } from '../../base/signing.ts';
import type { DestinationConfig } from '../../config/schema.ts';
import type { S3Location, S3Target, S3Timeouts } from './client.ts';
import { openS3Target, targetUnder } from './under.ts';
import { bareETag } from './conditions.ts';
import { readFailure } from './denied.ts';
import { hasName, hasStatus, isNotImplemented, type S3Operation, toS3Failure } from './errors.ts';
import { getFromS3, getPartFromS3, readFromS3, scanS3 } from './get.ts';
import { probeStore } from '../probe.ts';
import type { OnTrouble } from '../trouble.ts';
import { bucketFacts } from './look-at-bucket.ts';
import { probeHold, readHold } from './object-lock.ts';
import { removeFromS3 } from './remove.ts';
import { probeConditions } from './probe-conditions.ts';
import { putToS3 } from './put.ts';
import { uploadToS3 } from './upload.ts';
import type {
  Content,
  Hold,
  PendingUpload,
  ProbeResult,
  PutOptions,
  PutResult,
  Store,
  StoredObject,
  UploadOptions,
  Written,
} from '../store.ts';

/**
 * How long an upload that is dropped may wait for the requests under way that are not simply cut, as they might do their
 * work unseen, and for its own abort.
 */
const DROP_GRACE_MS = 2000;

/** Opens the destination; every request ends with the signal. `timeouts` replaces some of the defaults. */
export function openS3Store(
  destination: DestinationConfig,
  location: S3Location,
  signal: AbortSignal,
  timeouts: Partial<S3Timeouts> = {},
  onTrouble: OnTrouble = () => undefined,
): Store {
  const target = openS3Target(destination, location, signal, onTrouble, timeouts);
  const clock: Clock = { skewMs: undefined };
  target.client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      clock.skewMs = clockSkewOf(result.response) ?? clock.skewMs;
      return result;
    },
    { step: 'deserialize', name: 'pgsluiceClock' },
  );
  return new S3Store(target, clock);
}

/** How far this machine's clock was ahead at the last answer that carried a date. */
interface Clock {
  skewMs: number | undefined;
}

class S3Store implements Store {
  readonly url: string;
  signing?: Signing | undefined;
  readonly #target: S3Target;
  readonly #clock: Clock;

  constructor(target: S3Target, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
    this.url = `s3://${target.bucket}/${target.prefix}`;
  }

  under(signal: AbortSignal, onTrouble?: OnTrouble): Store {
    const store = new S3Store(targetUnder(this.#target, signal, onTrouble), this.#clock);
    store.signing = this.signing;
    return store;
  }

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<Written> {
    const dropped = linkSignals([options.signal, this.#target.signal]);
    const cut = linkSignals([dropped.signal], DROP_GRACE_MS);
    try {
      const target = targetUnder(this.#target, cut.signal);
      return await uploadToS3(target, this.#fullKey(key), body, { ...options, signal: dropped.signal });
    } finally {
      dropped.release();
      cut.release();
    }
  }

  put(key: string, body: Buffer | Content, options: PutOptions): Promise<PutResult> {
    return putToS3(this.#target, this.#fullKey(key), body, options);
  }

  get(key: string, limitBytes: number): Promise<{ body: Buffer; etag: string } | undefined> {
    return getFromS3(this.#target, this.#fullKey(key), limitBytes);
  }

  getPart(key: string, from: number, bytes: number): Promise<Buffer | undefined> {
    return getPartFromS3(this.#target, this.#fullKey(key), from, bytes);
  }

  async scan(key: string, limitBytes: number, onPiece: (piece: Buffer) => void): Promise<{ etag: string } | undefined> {
    const found = await scanS3(this.#target, this.#fullKey(key), limitBytes, onPiece);
    return found && { etag: found.etag };
  }

  read(key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    return readFromS3(this.#target, this.#fullKey(key), signal);
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const command = new HeadObjectCommand({ Bucket: this.#target.bucket, Key: this.#fullKey(key) });
    try {
      const { ContentLength: bytes = 0, ETag } = await this.#target.client.send(command);
      return { key, bytes, etag: bareETag(ETag) };
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw await readFailure(error, { name: 'HeadObject', key: this.#fullKey(key) }, this.#target);
    }
  }

  hold(key: string): Promise<Hold | 'none' | 'unknown'> {
    return readHold(this.#target, this.#fullKey(key));
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    for await (const page of this.#listPages(prefix)) {
      for (const { Key, Size, ETag } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: this.#relativeKey(Key), bytes: Size ?? 0, etag: bareETag(ETag) };
      }
    }
  }

  async *listFolders(prefix: string): AsyncGenerator<string, void, undefined> {
    // fauxqs begins a page anew after the last object of the one before, though folders came behind it.
    const seen = new Set<string>();
    for await (const page of this.#listPages(prefix, '/')) {
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        if (Prefix === undefined || seen.has(Prefix)) continue;
        seen.add(Prefix);
        yield this.#relativeKey(Prefix).slice(prefix.length, -1);
      }
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    await removeFromS3(
      this.#target,
      keys.map((key) => this.#fullKey(key)),
    );
  }

  async listUploads(prefix: string): Promise<PendingUpload[] | 'unsupported' | 'forbidden'> {
    const found: PendingUpload[] = [];
    let marker: Pick<ListMultipartUploadsCommandOutput, 'NextKeyMarker' | 'NextUploadIdMarker'> = {};
    for (;;) {
      const page = await this.#listUploadsPage(prefix, marker);
      if (typeof page === 'string') return page;
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined) continue;
        found.push({ key: this.#relativeKey(Key), uploadId: UploadId, startedAt: Initiated ?? new Date(0) });
      }
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return found;
      marker = this.#advance(marker, page);
    }
  }

  async abortUpload(key: string, uploadId: string): Promise<void> {
    const command = new AbortMultipartUploadCommand({
      Bucket: this.#target.bucket,
      Key: this.#fullKey(key),
      UploadId: uploadId,
    });
    try {
      await this.#target.client.send(command, { requestTimeout: this.#target.timeouts.abortMs });
    } catch (error) {
      if (!hasName(error, 'NoSuchUpload')) throw this.#failure(error, { name: 'AbortMultipartUpload', key });
    }
  }

  probe(tell?: (found: Partial<ProbeResult>) => void, limitMs?: number): Promise<ProbeResult> {
    const steps = {
      conditions: (key: string, body: Buffer) => probeConditions(this.#target, this.#fullKey(key), body),
      hold: (key: string) => probeHold(this.#target, this.#fullKey(key)),
      clockSkewMs: () => this.#clock.skewMs,
      facts: bucketFacts(this.#target),
    };
    return probeStore(this, steps, tell, limitMs);
  }

  close(): void {
    this.#target.client.destroy();
    this.#target.partMemory.letGo();
  }

  async *#listPages(prefix: string, Delimiter?: string): AsyncGenerator<ListObjectsV2CommandOutput, void, undefined> {
    let ContinuationToken: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.#target.bucket,
        Prefix: this.#fullKey(prefix),
        Delimiter,
        ContinuationToken,
      });
      const page: ListObjectsV2CommandOutput = await this.#try({ name: 'ListObjectsV2', key: prefix }, async () =>
        asList(await this.#target.client.send(command)),
      );
      yield page;
      const next: string | undefined = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && (next === undefined || next === ContinuationToken)) throw endlessList(prefix);
      ContinuationToken = next;
    } while (ContinuationToken !== undefined);
  }

  async #listUploadsPage(
    prefix: string,
    {
      NextKeyMarker,
      NextUploadIdMarker,
    }: Pick<ListMultipartUploadsCommandOutput, 'NextKeyMarker' | 'NextUploadIdMarker'>,
  ): Promise<ListMultipartUploadsCommandOutput | 'unsupported' | 'forbidden'> {
    const command = new ListMultipartUploadsCommand({
      Bucket: this.#target.bucket,
      Prefix: this.#fullKey(prefix),
      KeyMarker: NextKeyMarker,
      UploadIdMarker: NextUploadIdMarker,
    });
    try {
      const page = await this.#target.client.send(command);
      // A server that does not know `?uploads` lists the bucket's objects instead, which parses as an empty answer.
      const known = page.Bucket !== undefined || page.MaxUploads !== undefined || page.Uploads !== undefined;
      return known ? page : 'unsupported';
    } catch (error) {
      if (isNotImplemented(error)) return 'unsupported';
      if (hasStatus(error, 403)) return 'forbidden';
      throw this.#failure(error, { name: 'ListMultipartUploads', key: prefix });
    }
  }

  #advance<T extends { NextKeyMarker?: string | undefined; NextUploadIdMarker?: string | undefined }>(
    from: T,
    to: T,
  ): T {
    const stuck = from.NextKeyMarker === to.NextKeyMarker && from.NextUploadIdMarker === to.NextUploadIdMarker;
    if (stuck) throw endlessList('uploads');
    return to;
  }

  async #try<T>(operation: S3Operation, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw this.#failure(error, operation);
    }
  }

  #failure(error: unknown, operation: S3Operation): FailureError {
    const full = operation.key === undefined ? {} : { key: this.#fullKey(operation.key) };
    return toS3Failure(error, { ...operation, ...full }, this.#target);
  }

  #fullKey(key: string): string {
    return `${this.#target.prefix}${key}`;
  }

  #relativeKey(key: string): string {
    return key.slice(this.#target.prefix.length);
  }
}

/**
 * A proxy that wants a login answers with 200 as well; its page, and an empty answer, parse as a list of nothing. A list that is
 * empty says at least of what it is.
 */
function asList(page: ListObjectsV2CommandOutput): ListObjectsV2CommandOutput {
  const { $metadata, Name, Prefix, KeyCount, MaxKeys, IsTruncated, Contents, CommonPrefixes } = page;
  const fields = [Name, Prefix, KeyCount, MaxKeys, IsTruncated, Contents, CommonPrefixes];
  if (fields.every((field) => field === undefined))
    throw Object.assign(new Error('the answer is no list of objects'), { $metadata });
  return page;
}

function endlessList(prefix: string): FailureError {
  return fail(
    { code: 'answer-unreadable', transient: false },
    {
      stage: 'upload',
      message: `the server says that the list of ${prefix} goes on, but not from where`,
      hint: 'This server lists objects wrongly; report it to its maker.',
    },
  );
}

function clockSkewOf(response: unknown): number | undefined {
  const { headers } = response as { headers?: Record<string, string> };
  const serverMs = Date.parse(headers?.['date'] ?? '');
  return Number.isNaN(serverMs) ? undefined : Date.now() - serverMs;
}
