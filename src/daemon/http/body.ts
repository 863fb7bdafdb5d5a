/** Reads the small JSON body of an action. */
import type { IncomingMessage } from 'node:http';
import { refusal, type Reply } from './reply.ts';

const MOST_BYTES = 64 * 1024;

/** The mapping that the body holds; empty for an empty body. Resolves to a refusal when it is anything else. */
export async function readBody(request: IncomingMessage): Promise<{ values: Record<string, unknown> } | Reply> {
  const tooLarge = refusal(413, 'body-too-large', 'a body may have 64 KiB', { Connection: 'close' });
  if (Number(request.headers['content-length'] ?? 0) > MOST_BYTES) return tooLarge;
  const slices: Buffer[] = [];
  let bytes = 0;
  for await (const slice of request as AsyncIterable<Buffer>) {
    bytes += slice.length;
    if (bytes > MOST_BYTES) return tooLarge;
    slices.push(slice);
  }
  if (bytes === 0) return { values: {} };
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    return refusal(415, 'not-json', 'a body must be of the type application/json');
  const values = parse(Buffer.concat(slices).toString());
  return values === undefined ? refusal(400, 'bad-body', 'the body must be a JSON object') : { values };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
