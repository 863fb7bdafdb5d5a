/** How fast segments go to a server that is far away: by round trip, with one thread and four, large segments and small ones. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { DestinationConfig } from '../src/config/schema.ts';
import { say } from './site.ts';
import type { Uploads } from './upload-process.ts';

const MIB = 1024 ** 2;
export const ROUND_TRIPS_MS = [0, 20, 50, 100, 200];
const THREADS = [1, 4];

/** What a thread uploads, one segment after the other. */
const SEGMENTS = [
  { name: 'one segment of 128 MiB', objects: 1, objectBytes: 128 * MIB },
  { name: 'segments of 16 MiB', objects: 8, objectBytes: 16 * MIB },
];

const SETTINGS = [
  { name: '2 parts of 8 MiB, as before', partBytes: 8 * MIB, partsInFlight: 2 },
  { name: 'defaults: 5 MiB, auto', partBytes: 5 * MIB, partsInFlight: 'auto' },
] as const;

/** One line of the table: MB/s of all threads together by round trip, the best of the rounds. */
export interface DistanceFigures {
  threads: number;
  segments: string;
  setting: string;
  megabytesPerSecond: number[];
}

export async function measureDistance(rounds: number, signal: AbortSignal): Promise<DistanceFigures[]> {
  const server = fork(path.join(import.meta.dirname, 'far-endpoint.ts'));
  try {
    const endpoint = String(await messageOf(server));
    const figures: DistanceFigures[] = [];
    for (const threads of THREADS)
      for (const { name, ...segments } of SEGMENTS)
        for (const { name: setting, ...options } of SETTINGS) {
          const uploads = { ...segments, destination: destinationAt(endpoint, options) };
          const megabytesPerSecond: number[] = [];
          for (const roundTripMs of ROUND_TRIPS_MS) {
            server.send(roundTripMs);
            await messageOf(server);
            megabytesPerSecond.push(await bestOf(rounds, () => uploadSpeed(threads, uploads, signal)));
          }
          figures.push({ threads, segments: name, setting, megabytesPerSecond });
          const speeds = megabytesPerSecond.map((speed) => speed.toFixed(0)).join(', ');
          say(`distance: ${threads} threads, ${name}, ${setting}: ${speeds} MB/s`);
        }
    return figures;
  } finally {
    server.disconnect();
  }
}

async function bestOf(rounds: number, speed: () => Promise<number>): Promise<number> {
  let best = 0;
  for (let round = 0; round < rounds; round += 1) best = Math.max(best, await speed());
  return best;
}

/** In MB/s of all threads together, from when all of them begin to when the last one is done. */
async function uploadSpeed(threads: number, uploads: Uploads, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const program = path.join(import.meta.dirname, 'upload-process.ts');
  const children = Array.from({ length: threads }, () => fork(program, [JSON.stringify(uploads)]));
  await Promise.all(children.map(messageOf));
  const begin = performance.now();
  for (const child of children) child.send('begin');
  await Promise.all(children.map(messageOf));
  const seconds = (performance.now() - begin) / 1000;
  return (threads * uploads.objects * uploads.objectBytes) / 1e6 / seconds;
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  const onExit = (): void => {
    ended.abort(new Error('a process of the benchmark has ended'));
  };
  child.once('exit', onExit);
  try {
    const [message] = (await once(child, 'message', { signal: ended.signal })) as [unknown];
    return message;
  } finally {
    child.off('exit', onExit);
  }
}

function destinationAt(
  endpoint: string,
  options: Pick<DestinationConfig, 'partBytes' | 'partsInFlight'>,
): DestinationConfig {
  return {
    name: 'far',
    url: 's3://far',
    location: { kind: 's3', bucket: 'far', prefix: '' },
    endpoint,
    forcePathStyle: true,
    accessKeyId: 'bench',
    secretAccessKey: 'bench',
    checksums: 'when-supported',
    ...options,
  };
}
