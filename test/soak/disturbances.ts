/** What is done to the daemon, its destination and its source while it works. Each leaves by itself what it has begun. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.ts';
import type { Fault } from '../support/s3-proxy.ts';
import type { Lives } from './lives.ts';
import type { SoakSite } from './site.ts';
import type { SourceView } from './source-view.ts';

export interface Disturbed {
  site: SoakSite;
  lives: Lives;
  source: SourceView;
  random: Random;
}

export interface Disturbance {
  name: string;
  cause: (disturbed: Disturbed) => Promise<void>;
}

/** The daemon's ends; in the long life there are none. */
export const KILLS: readonly Disturbance[] = [
  { name: 'SIGKILL', cause: killAndStart },
  { name: 'SIGKILL', cause: killAndStart },
  { name: 'SIGKILL', cause: killAndStart },
  {
    name: 'SIGTERM',
    cause: async ({ lives }) => {
      await lives.stop();
      await lives.start();
    },
  },
];

/** What passes in seconds. A deck of these is gone through again and again, so that each part of a life has as many of each. */
export const PASSING: readonly Disturbance[] = [
  { name: 'reload', cause: reload('good') },
  { name: 'reload', cause: reload('good') },
  { name: 'reload of a bad config', cause: reload('bad') },
  s3('slow S3', '*', ({ integer }) => ({ kind: 'delay', ms: integer(200, 2000) }), 40),
  s3(
    'slow uploads',
    'UploadPart',
    ({ integer }) => ({ kind: 'throttle', bytesPerSecond: integer(1, 4) * 1024 ** 2 }),
    4,
  ),
  s3('503 SlowDown', '*', () => ({ kind: 'error', status: 503, code: 'SlowDown' }), 30),
  s3('500 InternalError', 'PutObject', () => ({ kind: 'error', status: 500, code: 'InternalError' }), 5),
  s3('connections reset', 'UploadPart', ({ integer }) => ({ kind: 'reset', afterBytes: integer(1, 4_000_000) }), 3),
  s3('connections reset', 'PutObject', ({ integer }) => ({ kind: 'reset', afterBytes: integer(1, 20_000) }), 5),
  s3('answers lost', 'PutObject', () => ({ kind: 'lose-answer' }), 4),
  s3('answers lost', 'CompleteMultipartUpload', () => ({ kind: 'lose-answer' }), 2),
  s3('answers cut', 'GetObject', () => ({ kind: 'cut-answer', afterBytes: 10 }), 4),
  s3('errors in a 200', 'CompleteMultipartUpload', () => ({ kind: 'error-in-200', code: 'InternalError' }), 2),
  {
    name: 'sessions ended',
    cause: async ({ source }) => {
      await source.endSessions();
    },
  },
];

/**
 * What holds a run up for a minute or two. None of it while the daemon is killed: a run whose process was killed, and whose
 * server was started anew, is watched for 90 s, and each further kill begins that again.
 */
export const HARD: readonly Disturbance[] = [
  s3('a request that is never answered', '*', () => ({ kind: 'stall' }), 1),
  {
    name: 'no S3 for some seconds',
    cause: async ({ site, random }) => {
      await site.proxy.down();
      await sleep(random.integer(5000, 15_000));
      await site.proxy.up();
    },
  },
  {
    name: 'Postgres killed',
    cause: async ({ site, random }) => {
      site.postgres.kill();
      await sleep(random.integer(200, 3000));
      await site.postgres.restart();
    },
  },
];

/** All of `deck` in an order of chance, for ever. */
export function* shuffled<T>(deck: readonly T[], random: Random): Generator<T, never, undefined> {
  for (;;) {
    const left = [...deck];
    while (left.length > 0) yield left.splice(random.integer(0, left.length - 1), 1)[0]!;
  }
}

async function killAndStart({ lives, random }: Disturbed): Promise<void> {
  await sleep(random.integer(0, 3000));
  await lives.kill();
  await sleep(random.integer(0, 8000));
  await lives.start();
}

function reload(kind: 'good' | 'bad'): Disturbance['cause'] {
  return async ({ site, lives }) => {
    site.writeConfig(kind);
    lives.daemon.kill('SIGHUP');
    if (kind === 'good') return;
    // The next start is to find a good one again.
    await sleep(2000);
    site.writeConfig('good');
  };
}

function s3(name: string, operation: string, fault: (random: Random) => Fault, times: number): Disturbance {
  return {
    name,
    cause: async ({ site, random }) => {
      site.proxy.order(operation, fault(random), times);
    },
  };
}
