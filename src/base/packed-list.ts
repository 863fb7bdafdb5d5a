/**
 * A list of texts that takes little more than their bytes, outside of the heap: for what there may be 400,000 of. As objects,
 * and as texts of the heap, they would take several times as much.
 */

/** What the first block has, and the largest that grows from it; a text that is longer has a block of its own. */
const FIRST_BYTES = 1024;
const MOST_BYTES = 1024 ** 2;
/** Places of texts that lie in one array. */
const PAGE = 1024;
/** In front of each text. */
const LENGTH_BYTES = 4;

export class PackedList {
  length = 0;
  /** Bytes that the list has taken. */
  heldBytes = 0;
  readonly #blocks: Buffer[] = [];
  /** Of the last block. */
  #used = 0;
  /** Where each text begins: the number of its block, and the place in it. */
  readonly #pages: Uint32Array[] = [];

  /** Returns the text's place in the list. */
  add(text: string): number {
    const bytes = Buffer.byteLength(text);
    const block = this.#blockFor(LENGTH_BYTES + bytes);
    const at = this.#used;
    block.writeUInt32LE(bytes, at);
    block.write(text, at + LENGTH_BYTES);
    this.#used += LENGTH_BYTES + bytes;
    const page = this.#pageFor(this.length);
    const place = 2 * (this.length % PAGE);
    page[place] = this.#blocks.length - 1;
    page[place + 1] = at;
    this.length += 1;
    return this.length - 1;
  }

  at(index: number): string | undefined {
    if (!(index >= 0 && index < this.length)) return undefined;
    const page = this.#pages[Math.floor(index / PAGE)];
    const place = 2 * (index % PAGE);
    const block = this.#blocks[page?.[place] ?? 0];
    const at = page?.[place + 1] ?? 0;
    return block?.toString('utf8', at + LENGTH_BYTES, at + LENGTH_BYTES + block.readUInt32LE(at));
  }

  *[Symbol.iterator](): Generator<string, undefined> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index) ?? '';
    return undefined;
  }

  #pageFor(index: number): Uint32Array {
    const known = this.#pages[Math.floor(index / PAGE)];
    if (known !== undefined) return known;
    const page = new Uint32Array(2 * PAGE);
    this.#pages.push(page);
    this.heldBytes += page.byteLength;
    return page;
  }

  /** The last block, or a new one where that has no room. */
  #blockFor(bytes: number): Buffer {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used + bytes <= last.length) return last;
    const next = Math.min(MOST_BYTES, 2 * (last?.length ?? FIRST_BYTES / 2));
    const block = Buffer.allocUnsafeSlow(Math.max(next, bytes));
    this.#blocks.push(block);
    this.heldBytes += block.length;
    this.#used = 0;
    return block;
  }
}
