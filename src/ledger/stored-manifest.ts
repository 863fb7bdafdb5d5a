/**
 * A manifest that lies in a destination, of which no more is held than what it says besides its objects. These are read
 * again, a block at a time, by whoever asks for them: the digests of the blocks, taken when the whole of it was read and
 * believed, tell that they are still the same.
 */
import { hash } from 'node:crypto';
import { FailureError } from '../base/errors.ts';
import { retrying } from '../base/retry.ts';
import { NEVER } from '../base/signals.ts';
import type { Signing } from '../base/signing.ts';
import { badDocument, readItems } from './documents.ts';
import { MANIFEST, type Manifest, type ManifestHead, type ManifestObject } from './manifest.ts';
import { SignedReader } from './signed-reader.ts';

/** A manifest whose objects are read as they are asked for. */
export interface StoredManifest extends ManifestHead {
  objects: ManifestObjects;
}

/** What is read again at once: some 1,700 objects. A manifest that has no more is held, and not read again. */
const BLOCK_BYTES = 1024 ** 2;
const FIRST_ROOM = 16 * 1024;
/** A reader of objects is at work for hours: what may pass does not end that. */
const RETRY = { attempts: 4, backoffMs: 500, forMs: 60_000 };

/** Objects that stand side by side in the manifest. */
interface Block {
  /** The place of the first one of them. */
  first: number;
  /** Where their bytes are. */
  from: number;
  bytes: number;
  sha256: string;
}

/** Reads so many bytes of the manifest again; undefined when it is not there any more. */
export type ReadPart = (from: number, bytes: number) => Promise<Buffer | undefined>;

/** The objects of a manifest, in its order. Whoever reads them may get a FailureError. */
export class ManifestObjects implements AsyncIterable<ManifestObject> {
  readonly length: number;
  readonly #blocks: readonly Block[];
  readonly #read: (block: Block) => Promise<Buffer>;
  /** The block that was read last. */
  #last: { block: Block; objects: ManifestObject[] } | undefined;

  constructor(length: number, blocks: readonly Block[], read: (block: Block) => Promise<Buffer>) {
    this.length = length;
    this.#blocks = blocks;
    this.#read = read;
  }

  [Symbol.asyncIterator](): AsyncGenerator<ManifestObject, undefined> {
    return this.from(0);
  }

  /** Those from this place on. */
  async *from(index: number): AsyncGenerator<ManifestObject, undefined> {
    for (let at = Math.max(0, this.#blockOf(index)); at < this.#blocks.length; at += 1) {
      const block = this.#blocks[at];
      if (block === undefined) return undefined;
      const objects = await this.#objectsOf(block);
      for (const object of objects.slice(Math.max(0, index - block.first))) yield object;
    }
    return undefined;
  }

  /** The one at this place. */
  async at(index: number): Promise<ManifestObject | undefined> {
    const block = index < this.length ? this.#blocks[this.#blockOf(index)] : undefined;
    return block && (await this.#objectsOf(block))[index - block.first];
  }

  #blockOf(index: number): number {
    return this.#blocks.findLastIndex(({ first }) => first <= index);
  }

  async #objectsOf(block: Block): Promise<ManifestObject[]> {
    if (this.#last?.block === block) return this.#last.objects;
    const objects = readItems(MANIFEST, await this.#read(block)) as ManifestObject[];
    this.#last = { block, objects };
    return objects;
  }
}

/** Reads a manifest as it comes: once, from its begin to its end. */
export class ManifestReader {
  readonly #url: string;
  readonly #reader: SignedReader<Manifest>;
  readonly #blocks = new BlockWriter();

  /** `onObject` may throw what is wrong with an object. */
  constructor(url: string, onObject: (object: ManifestObject, index: number) => void) {
    this.#url = url;
    this.#reader = new SignedReader(MANIFEST, url, (item, bytes, from) => {
      onObject(item as ManifestObject, this.#blocks.items);
      this.#blocks.add(bytes, from);
    });
  }

  write(piece: Buffer): void {
    this.#reader.write(piece);
  }

  /** Throws FailureError when it cannot be believed. `read` is kept for the objects. */
  end(signing: Signing | undefined, read: ReadPart): StoredManifest {
    const head = this.#reader.end(signing);
    const { items, blocks, only } = this.#blocks.end();
    const readAgain = only === undefined ? reader(read, this.#url) : () => Promise.resolve(only);
    return { ...head, objects: new ManifestObjects(items, blocks, readAgain) };
  }
}

/** Gathers blocks, and keeps of them where they are and their digests. */
class BlockWriter {
  items = 0;
  readonly #blocks: Block[] = [];
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_ROOM);
  #used = 0;
  #first = 0;
  #from = 0;

  add(item: Buffer, from: number): void {
    // Between two items there is a comma, and nothing else.
    if (this.#used > 0 && this.#used + 1 + item.length > BLOCK_BYTES) this.#close();
    this.#makeRoom(1 + item.length);
    if (this.#used === 0) {
      this.#first = this.items;
      this.#from = from;
    } else this.#used += this.#buffer.write(',', this.#used);
    this.#used += item.copy(this.#buffer, this.#used);
    this.items += 1;
  }

  /** `only` are the bytes of a block that is the only one. */
  end(): { items: number; blocks: readonly Block[]; only: Buffer | undefined } {
    const only = this.#blocks.length === 0 ? Buffer.from(this.#buffer.subarray(0, this.#used)) : undefined;
    if (this.#used > 0) this.#close();
    return { items: this.items, blocks: this.#blocks, only };
  }

  #makeRoom(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }

  #close(): void {
    const bytes = this.#buffer.subarray(0, this.#used);
    this.#blocks.push({ first: this.#first, from: this.#from, bytes: this.#used, sha256: hash('sha256', bytes) });
    this.#used = 0;
  }
}

function reader(read: ReadPart, url: string): (block: Block) => Promise<Buffer> {
  return async ({ from, bytes, sha256 }) => {
    const found = await retrying(
      RETRY,
      NEVER,
      () => read(from, bytes),
      (error) => error instanceof FailureError && error.failure.transient,
    );
    if (found?.length === bytes && hash('sha256', found) === sha256) return found;
    throw badDocument(MANIFEST, url, 'it is not any more what it was when it was read before');
  };
}
