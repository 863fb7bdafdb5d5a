/** Where a document carries its signature: in a line of its own, the last of its fields, so that anybody can take it off again. */
import { createHash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { isSignedBy, signDigest, type Signature, type Signing } from '../base/signing.ts';

/** A document of ours ends so. */
const END = '\n}\n';
const FIELD = ',\n  "signature": ';
const LINE = /^\{ "key": "([0-9a-f]{16})", "ed25519": "([A-Za-z0-9+/]{86}==)" \}\n\}\n$/;
/** The field, the key's id, the signature and the end. */
const MOST_BYTES = FIELD.length + 160;

/** The document with its signature; as it is where the destination has no key. */
export function signDocument(body: Buffer, signing: Signing | undefined): Buffer {
  return signEnd(body, () => createHash('sha256').update(body).digest(), signing);
}

/** The end of a document, with the signature of all of it; `digest` gives the SHA-256 of the document as it is without. */
export function signEnd(end: Buffer, digest: () => Buffer, signing: Signing | undefined): Buffer {
  if (signing?.key === undefined) return end;
  const { key, ed25519 } = signDigest(digest(), signing.key);
  const line = `${FIELD}{ "key": "${key}", "ed25519": "${ed25519}" }${END}`;
  return Buffer.concat([end.subarray(0, -END.length), Buffer.from(line)]);
}

/** The document without its signature. Throws FailureError `untrusted` when it is not signed by one who is trusted. */
export function openDocument(found: Buffer, signing: Signing | undefined, url: string): Buffer {
  const { body, signature } = split(found);
  requireTrust(signature, () => createHash('sha256').update(body).digest(), signing, url);
  return body;
}

/** Takes the signature off a document as it comes, and judges it at the end: until then, nothing of the document counts. */
export class SignatureCutter {
  readonly #onBody: (piece: Buffer) => void;
  readonly #hash = createHash('sha256');
  /** The last bytes, in which the signature may stand. */
  #last: Buffer = Buffer.alloc(0);

  /** `onBody` gets the document without its signature, piece by piece. */
  constructor(onBody: (piece: Buffer) => void) {
    this.#onBody = onBody;
  }

  write(piece: Buffer): void {
    if (piece.length < MOST_BYTES) {
      const held = Buffer.concat([this.#last, piece]);
      this.#pass(held.subarray(0, -MOST_BYTES));
      this.#last = held.subarray(-MOST_BYTES);
    } else {
      this.#pass(this.#last);
      this.#pass(piece.subarray(0, -MOST_BYTES));
      this.#last = Buffer.from(piece.subarray(-MOST_BYTES));
    }
  }

  /** Throws FailureError `untrusted` when the document is not signed by one who is trusted. */
  end(signing: Signing | undefined, url: string): void {
    const { body, signature } = split(this.#last);
    this.#pass(body);
    requireTrust(signature, () => this.#hash.digest(), signing, url);
  }

  #pass(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#hash.update(piece);
    this.#onBody(piece);
  }
}

/** Throws FailureError `untrusted`. */
function requireTrust(
  signature: Signature | undefined,
  digest: () => Buffer,
  signing: Signing | undefined,
  url: string,
): void {
  if (signing === undefined || signing.trust.size === 0) return;
  if (signature === undefined) {
    if (signing.allowUnsigned) return;
    throw untrusted(`${url} has no signature`, UNSIGNED_HINT);
  }
  if (isSignedBy(digest(), signature, signing.trust)) return;
  const isKnown = signing.trust.has(signature.key);
  throw untrusted(
    isKnown
      ? `${url} is not what the key ${signature.key} has signed`
      : `${url} is signed by the key ${signature.key}, which is not trusted`,
  );
}

const UNSIGNED_HINT =
  'If it is of a run from before signing was switched on, pass --allow-unsigned; else somebody has put it there: look at it.';

function untrusted(message: string, hint?: string) {
  return fail('untrusted', { stage: 'journal', message, ...(hint === undefined ? {} : { hint }) });
}

function split(found: Buffer): { body: Buffer; signature?: Signature } {
  const at = found.lastIndexOf(FIELD);
  if (at < 0 || found.length - at > MOST_BYTES) return { body: found };
  const match = LINE.exec(found.subarray(at + FIELD.length).toString('latin1'));
  const [, key, ed25519] = match ?? [];
  if (key === undefined || ed25519 === undefined) return { body: found };
  return { body: Buffer.concat([found.subarray(0, at), Buffer.from(END)]), signature: { key, ed25519 } };
}
