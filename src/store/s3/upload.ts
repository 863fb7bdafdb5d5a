/** One upload to S3: lib-storage sends the parts; here is what it leaves to its caller: ids, aborts, doubts, first causes. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
  type S3Client,
  type UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { fail, type FailureError } from '../../base/errors.ts';
import { mostPartsOnTheWay } from '../../base/memory-budget.ts';
import { formatBytes, formatCount } from '../../base/units.ts';
import { MOST_PARTS } from '../../config/object-limit.ts';
import { feed, Parts } from './parts.ts';
import { PartsInFlight } from './parts-in-flight.ts';
import type { S3Target } from './client.ts';
import { bareETag, isRefusal, sendUnder } from './conditions.ts';
import { hasName, toS3Failure } from './errors.ts';
import { holdIfNot, holdParams } from './object-lock.ts';
import { encryptionParams, TOKEN_METADATA } from './params.ts';
import { requestOf } from './send.ts';
import { checksumOf } from './send-content.ts';
import type { UploadOptions, Written } from '../store.ts';

/** Each of these is sent several times; a leftover upload is found and aborted by the next start. */
const ABORT_ATTEMPTS = 3;
const ABORT_PAUSE_MS = 250;

/** Uploads `body` to the full key `key`. Rejects only when no request is in flight any more. */
export async function uploadToS3(
  target: S3Target,
  key: string,
  body: AsyncIterable<Buffer>,
  options: UploadOptions,
  mostParts = MOST_PARTS,
): Promise<Written> {
  options.signal.throwIfAborted();
  const upload = new OneUpload(target, key, options);
  const parts = new Parts(body, {
    partBytes: target.destination.partBytes,
    mostParts,
    tooLarge: () => tooLarge(target, key, mostParts),
    memory: target.partMemory,
    inFlight: upload.inFlight,
    onFailure: (error) => {
      upload.fail(error);
    },
  });
  upload.onFailure = () => {
    parts.stop(new Error('the upload failed'));
  };
  const onAbort = (): void => {
    upload.fail(options.signal.reason);
  };
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const answered = await upload.send(parts);
    return { etag: await upload.check(parts.bytes, answered) };
  } catch (error) {
    upload.fail(error);
    const etag = await upload.findLanded(parts.bytes);
    if (etag !== undefined) return { etag };
    await upload.abort();
    throw upload.firstCause;
  } finally {
    upload.giveBackCut();
    options.signal.removeEventListener('abort', onAbort);
    void parts.return();
  }
}

function partsInFlight({ destination: { partsInFlight }, learned }: S3Target): PartsInFlight {
  return partsInFlight === 'auto'
    ? new PartsInFlight(mostPartsOnTheWay(partsInFlight), learned)
    : new PartsInFlight(partsInFlight);
}

function tooLarge({ bucket, destination: { partBytes } }: S3Target, key: string, mostParts: number): FailureError {
  return fail('object-too-large', {
    stage: 'upload',
    message: `${key} in the bucket ${bucket} has more than ${formatBytes(mostParts * partBytes)}: ${formatCount(mostParts)} parts of ${formatBytes(partBytes)}, the most that S3 takes of an object`,
    hint: 'Set a larger partSize of the destination, which an unfinished run takes up by its --run-id; or have smaller segments, which are planned anew for a new run: a lower segments.targetSize, and no segments.by: none.',
  });
}

class OneUpload {
  onFailure: () => void = () => undefined;
  readonly inFlight: PartsInFlight;
  readonly #target: S3Target;
  readonly #key: string;
  readonly #options: UploadOptions;
  readonly #token: string = randomUUID();
  /** Cuts the requests that carry data. The others are awaited: a cut one might have done its work unseen. */
  readonly #cutData = new AbortController();
  #failure: { cause: unknown } | undefined;
  #uploadId: string | undefined;
  /** Set when the request was sent that makes the object visible. */
  #finishing = false;
  /** The server said that what is there is not what was to be replaced. */
  #isRefused = false;
  #parts = 0;
  /** What requests carry that were not answered. */
  readonly #carried = new Set<Buffer>();

  constructor(target: S3Target, key: string, options: UploadOptions) {
    this.#target = target;
    this.#key = key;
    this.#options = options;
    this.inFlight = partsInFlight(target);
  }

  get firstCause(): unknown {
    return this.#failure?.cause;
  }

  /** Stops everything; only the first cause counts, as the others follow from it. */
  fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { cause };
    this.onFailure();
    this.inFlight.open();
    this.#cutData.abort();
  }

  /** Resolves to the ETag that the server answered, if it did. */
  async send(parts: Parts): Promise<string | undefined> {
    const upload = new Upload({
      client: this.#watchedClient(),
      // Of a length that it does not know; what it is to send, it is fed.
      params: { ...this.#params(), Body: new Readable() },
      partSize: this.#target.destination.partBytes,
      // One more asks for the next part, which is so gathered while the others are on their way; `inFlight` lets it go.
      queueSize: mostPartsOnTheWay(this.#target.destination.partsInFlight) + 1,
      // lib-storage would abort while other parts are still on the way, or not at all when the body is stalled.
      leavePartsOnError: true,
    });
    feed(upload, parts);
    const { ETag } = await upload.done();
    return ETag;
  }

  /**
   * A short object must never pass for a whole one, whatever happened between here and the server's disk. Resolves to the
   * object's ETag: the answered one, or, as some servers answer none, that of what is there if it is ours.
   */
  async check(bytes: number, answered: string | undefined): Promise<string> {
    // What is sent in one request is refused by the server when it is short, and its size is read again before the commit.
    if (answered !== undefined && this.#uploadId === undefined) return bareETag(answered);
    const head = await this.#head();
    if (answered === undefined && !this.#isOurs(head)) throw this.#overwritten();
    if (head.ContentLength === bytes) {
      await this.#hold(head);
      return bareETag(answered ?? head.ETag);
    }
    throw fail('object-size-mismatch', {
      stage: 'upload',
      message: `${this.#key} in the bucket ${this.#target.bucket} has ${head.ContentLength ?? 'an unknown number of'} bytes; ${bytes} were sent`,
    });
  }

  /**
   * The ETag of the object if it is there, whole, and from this very upload, though the request that finishes it seemed to
   * fail: its answer may have been lost, and the SDK's second try then hears that there is no such upload.
   */
  async findLanded(bytes: number): Promise<string | undefined> {
    if (!this.#finishing || this.#options.signal.aborted) return undefined;
    try {
      const head = await this.#head();
      if (head.ContentLength !== bytes || !this.#isOurs(head)) return undefined;
      await this.#hold(head);
      return bareETag(head.ETag);
    } catch {
      // The failure that led here is the one to report.
      return undefined;
    }
  }

  /** Removes the parts that were sent. When that fails too, the upload stays for the next start to find. */
  async abort(): Promise<void> {
    if (this.#uploadId === undefined) return;
    for (let attempt = 1; attempt <= ABORT_ATTEMPTS; attempt += 1) {
      if ((await this.#tryAbort(this.#uploadId)) || this.#target.signal.aborted) return;
      await sleep(ABORT_PAUSE_MS * attempt);
    }
  }

  /** Of a failed upload, once no request is under way: the next try would take as much once more, before the garbage collector comes. */
  giveBackCut(): void {
    for (const body of this.#carried) this.#giveBack(body);
  }

  #giveBack(body: Buffer): void {
    this.#carried.delete(body);
    this.#target.partMemory.giveBack(body);
  }

  async #tryAbort(UploadId: string): Promise<boolean> {
    const { client, bucket, timeouts } = this.#target;
    const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: this.#key, UploadId });
    try {
      await client.send(command, { requestTimeout: timeouts.abortMs });
      return true;
    } catch (error) {
      return hasName(error, 'NoSuchUpload');
    }
  }

  /** The same client, but this upload sees each of its requests. lib-storage offers no other way to pass it a signal. */
  #watchedClient(): S3Client {
    const send = (command: Parameters<S3Client['send']>[0]): Promise<unknown> => this.#sendWatched(command);
    return Object.create(this.#target.client, { send: { value: send } }) as S3Client;
  }

  async #sendWatched(command: Parameters<S3Client['send']>[0]): Promise<unknown> {
    const name = requestOf(command);
    if (this.#failure !== undefined) throw new Error('the upload failed', { cause: this.#failure.cause });
    const finishes = name === 'PutObject' || name === 'CompleteMultipartUpload';
    if (name === 'UploadPart') this.#parts += 1;
    const carriesData = name === 'UploadPart' || name === 'PutObject';
    const options = carriesData ? { abortSignal: this.#cutData.signal } : {};
    const body = carriesData ? ((command as UploadPartCommand).input.Body as Buffer) : undefined;
    const { crc32 } = this.#options;
    if (body !== undefined) this.#carried.add(body);
    if (body !== undefined && crc32 !== undefined) Object.assign(command.input, checksumOf(this.#target, crc32(body)));
    try {
      if (finishes) await this.#options.beforeLast?.();
      this.#finishing ||= finishes;
      const sentAt = performance.now();
      const answer: unknown = await (finishes
        ? this.#finish(command, options)
        : this.#target.client.send(command, options));
      const ms = performance.now() - sentAt;
      if (name === 'CreateMultipartUpload') this.#started(answer as CreateMultipartUploadCommandOutput, ms);
      if (name === 'UploadPart') {
        this.inFlight.answered(ms);
        this.#requireETag(command as UploadPartCommand, answer as UploadPartCommandOutput);
      }
      if (body !== undefined) this.#giveBack(body);
      return answer;
    } catch (error) {
      const operation = { name, key: this.#key, isHeld: this.#options.isHeld === true };
      const failure = toS3Failure(error, operation, this.#target);
      this.fail(failure);
      throw failure;
    }
  }

  /** The request that makes the object visible is the one that has the condition. */
  async #finish(command: Parameters<S3Client['send']>[0], options: Parameters<S3Client['send']>[1]): Promise<unknown> {
    const { replaces } = this.#options;
    if (replaces === undefined) return this.#target.client.send(command, options);
    try {
      return await sendUnder(this.#target, this.#key, replaces, (condition) =>
        this.#target.client.send(Object.assign(command, { input: { ...command.input, ...condition } }), options),
      );
    } catch (error) {
      throw isRefusal(error) ? this.#refused(error) : error;
    }
  }

  #started({ UploadId }: CreateMultipartUploadCommandOutput, ms: number): void {
    this.inFlight.measured(ms);
    this.#uploadId = UploadId;
    if (UploadId !== undefined) this.#options.onUploadStarted?.(UploadId);
  }

  /** lib-storage would complain as a browser has to. */
  #requireETag({ input }: UploadPartCommand, { ETag }: UploadPartCommandOutput): void {
    if (ETag !== undefined) return;
    throw fail(
      { code: 'answer-unreadable', transient: false },
      {
        stage: 'upload',
        message: `the server answered part ${input.PartNumber ?? ''} of ${this.#key} in the bucket ${this.#target.bucket} without an ETag`,
      },
    );
  }

  #params(): PutObjectCommandInput {
    const { contentType, contentEncoding } = this.#options;
    const { storageClass, tags } = this.#target.destination;
    return {
      Bucket: this.#target.bucket,
      Key: this.#key,
      ContentType: contentType,
      ...(contentEncoding === undefined ? {} : { ContentEncoding: contentEncoding }),
      ...(storageClass === undefined
        ? {}
        : { StorageClass: storageClass as NonNullable<PutObjectCommandInput['StorageClass']> }),
      ...(tags === undefined ? {} : { Tagging: new URLSearchParams(tags).toString() }),
      ...encryptionParams(this.#target),
      ...holdParams(this.#target, this.#options.isHeld),
      Metadata: { [TOKEN_METADATA]: this.#token },
    };
  }

  async #head(): Promise<HeadObjectCommandOutput> {
    try {
      return await this.#target.client.send(new HeadObjectCommand({ Bucket: this.#target.bucket, Key: this.#key }));
    } catch (error) {
      throw toS3Failure(error, { name: 'HeadObject', key: this.#key }, this.#target);
    }
  }

  async #hold(head: HeadObjectCommandOutput): Promise<void> {
    if (this.#options.isHeld === true) await holdIfNot(this.#target, this.#key, head);
  }

  #isOurs(head: HeadObjectCommandOutput): boolean {
    const token = head.Metadata?.[TOKEN_METADATA];
    if (token !== undefined) return token === this.#token;
    // What is there is somebody else's until it is shown to be ours.
    if (this.#isRefused) return false;
    // A server that drops metadata: at least the number of parts must be right, which an ETag usually tells.
    const [, parts] = /-(\d+)"?$/.exec(head.ETag ?? '') ?? [];
    return this.#uploadId === undefined ? parts === undefined : Number(parts) === this.#parts;
  }

  #refused(error: unknown): FailureError {
    this.#isRefused = true;
    return fail(
      'precondition-failed',
      {
        stage: 'upload',
        message: `${this.#key} in the bucket ${this.#target.bucket} is not what this upload was to replace`,
      },
      { cause: error },
    );
  }

  #overwritten(): FailureError {
    return fail(
      { code: 'object-changed', transient: true },
      {
        stage: 'upload',
        message: `${this.#key} in the bucket ${this.#target.bucket} was written by somebody else right after this upload`,
      },
    );
  }
}
