/** A bucket, or a prefix in one, as a {@link Store}. With its neighbours s3-*.ts the only importer of the AWS SDK. */
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { fail, FailureError } from '../../base/errors.ts';
import type { DestinationConfig } from '../../config/schema.ts';
import { openS3Target, type S3Location, type S3Target, type S3Timeouts } from './client.ts';
import { bareETag } from './conditions.ts';
import { hasName, hasStatus, isNotImplemented, type S3Operation, toS3Failure } from './errors.ts';
import { getFromS3, readFromS3 } from './get.ts';
import { probeStore } from '../probe.ts';
import { putToS3, refusesOverwrite } from './put.ts';
import { uploadToS3 } from './upload.ts';
import type {
  PendingUpload,
  ProbeResult,
  PutOptions,
  PutResult,
  Store,
  StoredObject,
  UploadOptions,
  Written,
} from '../store.ts';

/** What DeleteObjects takes at once. */
const DELETE_BATCH = 1000;

/** Opens the destination; `timeouts` replaces some of the defaults. */
export function openS3Store(
  destination: DestinationConfig,
  location: S3Location,
  timeouts: Partial<S3Timeouts> = {},
): Store {
  return new S3Store(openS3Target(destination, location, timeouts));
}

class S3Store implements Store {
  readonly url: string;
  readonly #target: S3Target;
  /** Offset of this machine's clock at the last answer that carried a date. */
  #clockSkewMs: number | undefined;

  constructor(target: S3Target) {
    this.#target = target;
    this.url = `s3://${target.bucket}/${target.prefix}`;
    target.client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        this.#clockSkewMs = clockSkewOf(result.response) ?? this.#clockSkewMs;
        return result;
      },
      { step: 'deserialize', name: 'pgsluiceClock' },
    );
  }

  upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<Written> {
    return uploadToS3(this.#target, this.#fullKey(key), body, options);
  }

  put(key: string, body: Buffer, options: PutOptions): Promise<PutResult> {
    return putToS3(this.#target, this.#fullKey(key), body, options);
  }

  async get(key: string, limitBytes: number): Promise<{ body: Buffer; etag: string } | undefined> {
    const found = await getFromS3(this.#target, this.#fullKey(key), limitBytes);
    return found && { body: found.body, etag: found.etag };
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
      throw this.#failure(error, { name: 'HeadObject', key });
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    for await (const page of this.#listPages(prefix)) {
      for (const { Key, Size, ETag } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: this.#relativeKey(Key), bytes: Size ?? 0, etag: bareETag(ETag) };
      }
    }
  }

  async *listFolders(prefix: string): AsyncGenerator<string, void, undefined> {
    for await (const page of this.#listPages(prefix, '/')) {
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        if (Prefix !== undefined) yield this.#relativeKey(Prefix).slice(prefix.length, -1);
      }
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += DELETE_BATCH) {
      await this.#removeBatch(keys.slice(at, at + DELETE_BATCH));
    }
  }

  async listUploads(prefix: string): Promise<PendingUpload[] | 'unsupported'> {
    const found: PendingUpload[] = [];
    let marker: Pick<ListMultipartUploadsCommandOutput, 'NextKeyMarker' | 'NextUploadIdMarker'> = {};
    for (;;) {
      const page = await this.#listUploadsPage(prefix, marker);
      if (page === 'unsupported') return page;
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

  async probe(): Promise<ProbeResult> {
    const findings = await probeStore(this, (key, body) => refusesOverwrite(this.#target, this.#fullKey(key), body));
    return { ...findings, clockSkewMs: this.#clockSkewMs };
  }

  close(): void {
    this.#target.client.destroy();
  }

  async *#listPages(prefix: string, Delimiter?: string): AsyncGenerator<ListObjectsV2CommandOutput, void, undefined> {
    let ContinuationToken: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#try({ name: 'ListObjectsV2', key: prefix }, () =>
        this.#target.client.send(
          new ListObjectsV2Command({
            Bucket: this.#target.bucket,
            Prefix: this.#fullKey(prefix),
            Delimiter,
            ContinuationToken,
          }),
        ),
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
  ): Promise<ListMultipartUploadsCommandOutput | 'unsupported'> {
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

  async #removeBatch(keys: readonly string[]): Promise<void> {
    const Objects = keys.map((key) => ({ Key: this.#fullKey(key) }));
    const command = new DeleteObjectsCommand({ Bucket: this.#target.bucket, Delete: { Objects, Quiet: true } });
    try {
      const { Errors = [] } = await this.#target.client.send(command);
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (failed === undefined) return;
      const text = `${failed.Message ?? failed.Code ?? 'unknown error'} (${Errors.length} of ${keys.length} keys)`;
      throw this.#failure(Object.assign(new Error(text), { name: failed.Code }), {
        name: 'DeleteObjects',
        key: failed.Key === undefined ? '' : this.#relativeKey(failed.Key),
      });
    } catch (error) {
      if (!lacksBatchDelete(error)) throw this.#failure(error, { name: 'DeleteObjects' });
      await this.#removeOneByOne(keys);
    }
  }

  async #removeOneByOne(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const command = new DeleteObjectCommand({ Bucket: this.#target.bucket, Key: this.#fullKey(key) });
      await this.#target.client.send(command).catch((error: unknown) => {
        if (!hasName(error, 'NoSuchKey', 'NotFound')) throw this.#failure(error, { name: 'DeleteObject', key });
      });
    }
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

/** Some servers know only DeleteObject; older ones ask for a Content-MD5, which the SDK no longer sends. */
function lacksBatchDelete(error: unknown): boolean {
  if (error instanceof FailureError) return false;
  return isNotImplemented(error) || hasName(error, 'MissingContentMD5', 'InvalidRequest', 'MalformedXML');
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
