/** A bucket, or a prefix in one, as a {@link Store}. With its neighbours s3-*.ts the only importer of the AWS SDK. */
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { FailureError } from '../../base/errors.ts';
import type { DestinationConfig } from '../../config/schema.ts';
import { openS3Target, type S3Location, type S3Target, type S3Timeouts } from './client.ts';
import { hasName, hasStatus, isNotImplemented, type S3Operation, toS3Failure } from './errors.ts';
import { probeStore } from '../probe.ts';
import { encryptionParams, TOKEN_METADATA, uploadToS3 } from './upload.ts';
import type { PendingUpload, ProbeResult, PutOptions, Store, StoredObject, UploadOptions } from '../store.ts';

/** What DeleteObjects takes at once. */
const DELETE_BATCH = 1000;

/** How often a create-only put is sent when another one for the same key is under way. */
const CONFLICT_ATTEMPTS = 5;
const CONFLICT_PAUSE_MS = 200;

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

  async upload(key: string, body: AsyncIterable<Buffer>, options: UploadOptions): Promise<void> {
    await uploadToS3(this.#target, this.#fullKey(key), body, options);
  }

  async put(key: string, body: Buffer, { contentType, createOnly }: PutOptions): Promise<'created' | 'exists'> {
    const input: PutObjectCommandInput = {
      Bucket: this.#target.bucket,
      Key: this.#fullKey(key),
      Body: body,
      ContentType: contentType,
      // Journals and manifests are tiny and read often: the archive's storage class would bill them at its minimum size.
      StorageClass: this.#target.destination.storageClass === undefined ? undefined : 'STANDARD',
      ...encryptionParams(this.#target),
    };
    if (createOnly) return this.#create(key, input);
    await this.#try({ name: 'PutObject', key }, () => this.#target.client.send(new PutObjectCommand(input)));
    return 'created';
  }

  async get(key: string, limitBytes: number): Promise<Buffer | undefined> {
    const found = await this.#getWithToken(key, limitBytes);
    return found?.body;
  }

  async *read(key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    signal.throwIfAborted();
    // Cutting the request is what frees the socket when the consumer stops early: the body may be wrapped by the SDK.
    const cut = new AbortController();
    const onAbort = (): void => {
      cut.abort();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      yield* this.#readBody(key, cut.signal);
    } catch (error) {
      signal.throwIfAborted();
      throw this.#failure(error, { name: 'GetObject', key });
    } finally {
      signal.removeEventListener('abort', onAbort);
      cut.abort();
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const command = new HeadObjectCommand({ Bucket: this.#target.bucket, Key: this.#fullKey(key) });
    try {
      const { ContentLength: bytes = 0 } = await this.#target.client.send(command);
      return { key, bytes };
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw this.#failure(error, { name: 'HeadObject', key });
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    for await (const page of this.#listPages(prefix)) {
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: this.#relativeKey(Key), bytes: Size ?? 0 };
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
    const findings = await probeStore(this, (key, body) => this.#refusesOverwrite(key, body));
    return { ...findings, clockSkewMs: this.#clockSkewMs };
  }

  close(): void {
    this.#target.client.destroy();
  }

  /** Servers that ignore If-None-Match are common, hence the look before; on the others it costs one small request. */
  async #create(key: string, input: PutObjectCommandInput): Promise<'created' | 'exists'> {
    if ((await this.head(key)) !== undefined) return 'exists';
    const token = randomUUID();
    const marked = { ...input, Metadata: { [TOKEN_METADATA]: token } };
    try {
      await this.#sendCreate(marked);
      return 'created';
    } catch (error) {
      const failure = this.#failure(error, { name: 'PutObject', key });
      const refused = hasStatus(error, 412);
      if (!refused && !failure.failure.transient) throw failure;
      // The answer to a first try may have been lost, so that the second one found its own object.
      if (await this.#isOwnObject(key, input.Body as Buffer, token)) return 'created';
      if (refused) return 'exists';
      throw failure;
    }
  }

  async #sendCreate(input: PutObjectCommandInput): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#target.client.send(new PutObjectCommand({ ...input, IfNoneMatch: '*' }));
        return;
      } catch (error) {
        if (isNotImplemented(error)) break;
        if (!hasName(error, 'ConditionalRequestConflict') || attempt === CONFLICT_ATTEMPTS) throw error;
        await sleep(CONFLICT_PAUSE_MS * attempt);
      }
    }
    // The server refuses the condition as such: the look before has to do.
    await this.#target.client.send(new PutObjectCommand(input));
  }

  async #refusesOverwrite(key: string, Body: Buffer): Promise<boolean> {
    const { bucket: Bucket, client } = this.#target;
    const input = { Bucket, Key: this.#fullKey(key), Body, IfNoneMatch: '*', ...encryptionParams(this.#target) };
    try {
      await client.send(new PutObjectCommand(input));
      return false;
    } catch (error) {
      if (hasStatus(error, 412)) return true;
      if (isNotImplemented(error)) return false;
      throw this.#failure(error, { name: 'PutObject', key });
    }
  }

  async #isOwnObject(key: string, body: Buffer, token: string): Promise<boolean> {
    const found = await this.#getWithToken(key, body.length);
    if (found === undefined) return false;
    return found.token === undefined ? found.body.equals(body) : found.token === token;
  }

  async #getWithToken(
    key: string,
    limitBytes: number,
  ): Promise<{ body: Buffer; token: string | undefined } | undefined> {
    const cut = new AbortController();
    try {
      const answer = await this.#sendGet(key, cut.signal);
      const body = await collect(answer, limitBytes, key);
      return { body, token: answer.Metadata?.[TOKEN_METADATA] };
    } catch (error) {
      if (hasName(error, 'NoSuchKey', 'NotFound')) return undefined;
      throw this.#failure(error, { name: 'GetObject', key });
    } finally {
      cut.abort();
    }
  }

  async *#readBody(key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const answer = await this.#sendGet(key, signal);
    let bytes = 0;
    for await (const chunk of answer.Body as Readable) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      yield piece;
    }
    if (answer.ContentLength !== undefined && bytes !== answer.ContentLength) throw shortRead(key, bytes, answer);
  }

  async #sendGet(key: string, abortSignal: AbortSignal): Promise<GetObjectCommandOutput> {
    const command = new GetObjectCommand({ Bucket: this.#target.bucket, Key: this.#fullKey(key) });
    const answer = await this.#target.client.send(command, { abortSignal });
    // When the reader has left, the SDK's stream finds that the checksum of the rest is wrong, and tells nobody.
    (answer.Body as Readable).on('error', () => undefined);
    return answer;
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

async function collect(answer: GetObjectCommandOutput, limitBytes: number, key: string): Promise<Buffer> {
  if ((answer.ContentLength ?? 0) > limitBytes) throw tooLarge(key, limitBytes);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.Body as Readable) {
    bytes += (chunk as Buffer).length;
    if (bytes > limitBytes) throw tooLarge(key, limitBytes);
    chunks.push(chunk as Buffer);
  }
  if (answer.ContentLength !== undefined && bytes !== answer.ContentLength) throw shortRead(key, bytes, answer);
  return Buffer.concat(chunks);
}

function tooLarge(key: string, limitBytes: number): FailureError {
  return new FailureError({
    code: 'object-too-large',
    stage: 'upload',
    transient: false,
    message: `${key} is larger than ${limitBytes} bytes, which is the most that is read at once`,
    hint: 'This object was not written by pgsluice, or was changed since: look at it, and remove it if it is not needed.',
  });
}

function shortRead(key: string, bytes: number, { ContentLength = 0 }: GetObjectCommandOutput): FailureError {
  return new FailureError({
    code: 'connection-lost',
    stage: 'upload',
    transient: true,
    message: `${key} ended after ${bytes} of ${ContentLength} bytes`,
    hint: 'The connection broke while the object was read. If it repeats, look at the network and proxies between.',
  });
}

function endlessList(prefix: string): FailureError {
  return new FailureError({
    code: 'answer-unreadable',
    stage: 'upload',
    transient: false,
    message: `the server says that the list of ${prefix} goes on, but not from where`,
    hint: 'This server lists objects wrongly; report it to its maker.',
  });
}

function clockSkewOf(response: unknown): number | undefined {
  const { headers } = response as { headers?: Record<string, string> };
  const serverMs = Date.parse(headers?.['date'] ?? '');
  return Number.isNaN(serverMs) ? undefined : Date.now() - serverMs;
}
