/** Reads a document that may be signed as it comes. Whether it is, is known at its end alone, and said before what is wrong in it. */
import type { Signing } from '../base/signing.ts';
import { type DocumentKind, DocumentReader } from './documents.ts';
import { SignatureCutter } from './signature.ts';

export class SignedReader<T> {
  readonly #url: string;
  readonly #documents: DocumentReader<T>;
  readonly #signatures: SignatureCutter;
  /** Why it cannot be believed. */
  #problem: Error | undefined;

  /** `onItem` gets each item of the long list as {@link DocumentReader} says, and may throw what is wrong with it. */
  constructor(kind: DocumentKind<T>, url: string, onItem: (item: unknown, bytes: Buffer, from: number) => void) {
    this.#url = url;
    this.#documents = new DocumentReader(kind, url, onItem);
    this.#signatures = new SignatureCutter((piece) => {
      this.#try(() => {
        this.#documents.write(piece);
      });
    });
  }

  write(piece: Buffer): void {
    this.#signatures.write(piece);
  }

  /** What it says, with an empty list in the place of the long one. Throws FailureError when it cannot be believed. */
  end(signing: Signing | undefined): T {
    this.#signatures.end(signing, this.#url);
    if (this.#problem !== undefined) throw this.#problem;
    return this.#documents.end();
  }

  #try(work: () => void): void {
    if (this.#problem !== undefined) return;
    try {
      work();
    } catch (error) {
      this.#problem = error instanceof Error ? error : new Error(String(error));
    }
  }
}
