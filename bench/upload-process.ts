/**
 * Uploads as a worker thread does, from memory, as a process of its own: `upload-process.ts UPLOAD`, where UPLOAD is JSON. It says
 * over its channel when it is ready, begins at the first message, and says when all is there.
 */
import { randomBytes } from 'node:crypto';
import type { DestinationConfig } from '../src/config/schema.ts';
import { openStore } from '../src/store/open.ts';

/** What to upload, and where to. */
export interface Uploads {
  destination: DestinationConfig;
  objects: number;
  objectBytes: number;
}

const PIECE_BYTES = 1024 ** 2;
const noise = randomBytes(PIECE_BYTES);

const { destination, objects, objectBytes } = JSON.parse(process.argv[2] ?? '') as Uploads;
process.once('message', () => void uploadAll());
process.send?.('ready');

async function uploadAll(): Promise<void> {
  for (let object = 0; object < objects; object += 1) {
    // Each segment opens the destination anew.
    const { signal } = new AbortController();
    const store = openStore(destination, signal);
    await store.upload(`${process.pid}-${object}`, body(), { contentType: 'application/gzip', signal });
    store.close();
  }
  process.send?.('done', () => process.exit());
}

async function* body(): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < objectBytes; at += PIECE_BYTES) yield await Promise.resolve(noise);
}
