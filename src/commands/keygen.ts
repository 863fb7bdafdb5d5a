/** `pgsluice keygen`: makes the key by which a host signs what it writes into a bucket. */
import { writeFileSync } from 'node:fs';
import { errorText, UsageError } from '../base/errors.ts';
import { generatePrivateKey, keyId, publicKeyText, readPrivateKey } from '../base/signing.ts';
import { EXIT } from './entry.ts';
import type { Invocation } from './invocation.ts';
import { printJson, printLines } from './terminal/print.ts';

/** Writes the private key to `file`, which must not be there yet, and prints the public one. */
export async function keygenCommand(invocation: Invocation, file: string): Promise<number> {
  const pem = generatePrivateKey();
  const key = readPrivateKey(pem);
  try {
    writeFileSync(file, pem, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new UsageError(`the key is not written: ${errorText(error)}`);
  }
  const made = { file, id: keyId(key), publicKey: publicKeyText(key) };
  if (invocation.json) printJson(invocation, made);
  else printLines(invocation, describe(made));
  return EXIT.done;
}

function describe({ file, id, publicKey }: { file: string; id: string; publicKey: string }): string[] {
  return [
    `private key ${id} written to ${file}; only this host needs it`,
    'for the config of this host:',
    `  signing: { key: "\${file:${file}}", trust: ["${publicKey}"] }`,
    'for hosts that only read:',
    `  signing: { trust: ["${publicKey}"] }`,
  ];
}
