import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureError } from '../../../src/base/errors.ts';
import {
  generatePrivateKey,
  keyId,
  publicKeyText,
  readPrivateKey,
  readPublicKey,
  type Signing,
} from '../../../src/base/signing.ts';
import { openDocument, signDocument } from '../../../src/ledger/signature.ts';

const key = readPrivateKey(generatePrivateKey());
const other = readPrivateKey(generatePrivateKey());
const body = Buffer.from('{\n  "format": "x",\n  "n": 1\n}\n');

function signing(parts: Partial<Signing> = {}, ...trusted: (typeof key)[]): Signing {
  const keys = trusted.map((each) => readPublicKey(publicKeyText(each)));
  return { key: undefined, trust: new Map(keys.map((each) => [keyId(each), each])), allowUnsigned: false, ...parts };
}

function untrusted(says: RegExp) {
  return (error: unknown) =>
    error instanceof FailureError && error.failure.code === 'untrusted' && says.test(error.failure.message);
}

test('a signed document is JSON still, and opens to the very bytes that were signed', () => {
  const signed = signDocument(body, signing({ key }));
  assert.deepEqual(Object.keys(JSON.parse(signed.toString()) as object), ['format', 'n', 'signature']);
  assert.ok(openDocument(signed, signing({}, other, key), 'u').equals(body));
  assert.ok(openDocument(signed, undefined, 'u').equals(body));
  assert.ok(openDocument(signed, signing(), 'u').equals(body));
});

test('without a key a document stays as it is', () => {
  assert.equal(signDocument(body, signing({}, key)), body);
  assert.equal(signDocument(body, undefined), body);
});

test('every flipped byte of a signed document is noticed', () => {
  const signed = signDocument(body, signing({ key }));
  for (let at = 0; at < signed.length; at += 1) {
    const changed = Buffer.from(signed);
    changed[at]! ^= 1;
    assert.throws(() => openDocument(changed, signing({}, key), 'u'), untrusted(/^u /), `byte ${at}`);
  }
});

test('a signature in the middle, a second one, and one of another key do not count', () => {
  const signed = signDocument(body, signing({ key })).toString();
  const line = signed.slice(signed.lastIndexOf(',\n  "signature"'), -3);
  const inside = Buffer.from(`{\n  "a": 1${line},\n  "b": 2\n}\n`);
  assert.throws(() => openDocument(inside, signing({}, key), 'u'), untrusted(/has no signature/));
  const twice = signDocument(Buffer.from(signed), signing({ key: other }));
  assert.throws(() => openDocument(twice, signing({}, key), 'u'), untrusted(/which is not trusted/));
  assert.throws(() => openDocument(Buffer.from(signed), signing({}, other), 'u'), untrusted(/not trusted/));
});

test('what has no signature is believed only where that is allowed', () => {
  assert.throws(() => openDocument(body, signing({}, key), 'u'), untrusted(/^u has no signature/));
  assert.ok(openDocument(body, signing({ allowUnsigned: true }, key), 'u').equals(body));
  const forged = signDocument(body, signing({ key: other }));
  assert.throws(() => openDocument(forged, signing({ allowUnsigned: true }, key), 'u'), untrusted(/not trusted/));
});

test('keys of another kind, and halves of the wrong side, are refused without being shown', () => {
  const pem = generatePrivateKey();
  assert.throws(() => readPublicKey(pem), /must be a public key, not a private one/);
  assert.throws(
    () => readPrivateKey('geheim'),
    (error: Error) => !error.message.includes('geheim'),
  );
  assert.throws(() => readPublicKey('AAAA'), /must be a public key/);
  assert.equal(keyId(readPrivateKey(pem)), keyId(readPublicKey(publicKeyText(readPrivateKey(pem)))));
});
