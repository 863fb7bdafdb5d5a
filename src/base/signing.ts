/** Ed25519 signatures over the SHA-256 of what lies in the bucket: by them an archive of ours is told from a forged one. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';

/** How the documents of a destination are signed, and whose signatures are believed. */
export interface Signing {
  /** Undefined where this host only reads. */
  key: KeyObject | undefined;
  /** By their ids; empty where everything is believed. */
  trust: ReadonlyMap<string, KeyObject>;
  /** Whether documents without a signature are believed all the same. */
  allowUnsigned: boolean;
}

/** A signature as a document carries it. */
export interface Signature {
  /** Id of the public key: the first 16 hex digits of the SHA-256 of its DER form. */
  key: string;
  /** 64 bytes in base64. */
  ed25519: string;
}

/** The private key in a PEM text (PKCS 8). Throws an Error that says what it is instead, without the text. */
export function readPrivateKey(pem: string): KeyObject {
  return requireEd25519(() => createPrivateKey(pem), 'a private key in PEM form, as `pgsluice keygen` writes it');
}

/** The public key in a PEM text, or in the base64 of its DER form, as `pgsluice keygen` prints it. */
export function readPublicKey(text: string): KeyObject {
  const read = (): KeyObject =>
    text.includes('-----BEGIN')
      ? createPublicKey(text)
      : createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
  // A private key would be taken as well, and its public half be made of it.
  if (text.includes('PRIVATE')) throw new Error('must be a public key, not a private one');
  return requireEd25519(read, 'a public key, as `pgsluice keygen` prints it');
}

function requireEd25519(read: () => KeyObject, what: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw new Error(`must be ${what}`, { cause: error });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`must be ${what}: of the kind Ed25519`);
  return key;
}

/** The id of a key; that of a private one is its public half's. */
export function keyId(key: KeyObject): string {
  return createHash('sha256').update(derOf(key)).digest('hex').slice(0, 16);
}

/** The public half of a key, as it is written into `trust`. */
export function publicKeyText(key: KeyObject): string {
  return derOf(key).toString('base64');
}

function derOf(key: KeyObject): Buffer {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' });
}

/** A new private key as PEM. */
export function generatePrivateKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** Signs what has this SHA-256. */
export function signDigest(sha256: Buffer, key: KeyObject): Signature {
  return { key: keyId(key), ed25519: sign(null, sha256, key).toString('base64') };
}

/** Whether one of the trusted keys has signed exactly what has this SHA-256. */
export function isSignedBy(sha256: Buffer, { key, ed25519 }: Signature, trust: Signing['trust']): boolean {
  const signer = trust.get(key);
  return signer !== undefined && verify(null, sha256, signer, Buffer.from(ed25519, 'base64'));
}
