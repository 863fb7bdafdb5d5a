/**
 * What the S3 endpoint keeps of objects that nobody needs after it: small ones in memory, all others each in a file, so that
 * the process stays small. In fauxqs's own store on disk two files and their folders are most of what a small object costs.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const IN_MEMORY_BYTES = 64 * 1024;

const nothing = (): undefined => undefined;

export interface StoredObject {
  key: string;
  body: Buffer;
}

/** The part of fauxqs's `S3PersistenceProvider` that is called; what is unfinished it holds by itself. */
export class S3Bodies {
  readonly insertBucket = nothing;
  readonly deleteBucket = nothing;
  readonly saveBucketLifecycleConfiguration = nothing;
  readonly deleteBucketLifecycleConfiguration = nothing;
  readonly insertMultipartUpload = nothing;
  readonly upsertMultipartPart = nothing;
  readonly deleteMultipartUpload = nothing;
  readonly #folder: string;
  /** The body, or the path of its file. */
  readonly #bodies = new Map<string, Buffer | string>();
  #files = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  upsertObject(bucket: string, { key, body }: StoredObject): void {
    this.deleteObject(bucket, key);
    // A copy, as it is a piece of all that came over the connection.
    this.#bodies.set(nameOf(bucket, key), body.length > IN_MEMORY_BYTES ? this.#write(body) : Buffer.from(body));
  }

  completeMultipartUpload(_uploadId: string, bucket: string, object: StoredObject): void {
    this.upsertObject(bucket, object);
  }

  readBody(bucket: string, key: string): Buffer {
    const body = this.#bodies.get(nameOf(bucket, key));
    if (body === undefined) throw new Error(`the body of ${bucket}/${key} is not there`);
    return typeof body === 'string' ? readFileSync(body) : body;
  }

  deleteObject(bucket: string, key: string): void {
    const name = nameOf(bucket, key);
    const body = this.#bodies.get(name);
    if (typeof body === 'string') rmSync(body);
    this.#bodies.delete(name);
  }

  deleteObjectsByBucket(bucket: string): void {
    const start = nameOf(bucket, '');
    for (const name of this.#bodies.keys())
      if (name.startsWith(start)) this.deleteObject(bucket, name.slice(start.length));
  }

  #write(body: Buffer): string {
    this.#files += 1;
    const file = path.join(this.#folder, String(this.#files));
    writeFileSync(file, body);
    return file;
  }
}

/** No name of a bucket has a slash. */
function nameOf(bucket: string, key: string): string {
  return `${bucket}/${key}`;
}
