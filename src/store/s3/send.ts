/**
 * Sends one request, a few times where that may help at once. This is the lower half of the policy that docs/s3.md has; the
 * upper one, with its pauses and its budget of time, is that of whoever asked (`base/retry.ts`). The SDK itself tries once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import type { Failure } from '../../base/errors.ts';
import type { FailureCode } from '../../base/failures.ts';
import type { S3Request } from './actions.ts';
import type { S3Target } from './client.ts';
import { toS3Failure } from './errors.ts';
import { tellTrouble } from '../trouble.ts';

/** A request is sent so often in all; one that the server never answers, so often. */
const TRIES = 3;
const TRIES_IN_SILENCE = 2;
/** The pause before the second try; it doubles. A server that asks for fewer requests gets more time. */
const PAUSE_MS = 200;
const THROTTLED_PAUSE_MS = 1000;

/** Failures that another try of the same request may mend; others are for who knows what the request was part of. */
const MENDED_AT_ONCE: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'server-error',
  'throttled',
  'connection-refused',
  'connection-lost',
  'dns',
  'timeout',
]);

export type AnyCommand = Parameters<S3Client['send']>[0];

/** What a caller may say of one request. */
export interface SendOptions {
  /** Whoever gives one has it end with the signal of the target. */
  abortSignal?: AbortSignal;
  requestTimeout?: number;
}

/** Throws what the SDK threw last, and the reason of the target's signal once that aborts. */
export function sendRequest(
  target: S3Target,
  client: S3Client,
  command: AnyCommand,
  options: SendOptions = {},
): Promise<unknown> {
  const { abortSignal = target.signal } = options;
  const key = (command.input as { Key?: string }).Key;
  const operation = { name: requestOf(command), ...(key === undefined ? {} : { key }) };
  const request = key === undefined ? operation.name : `${operation.name} of ${key}`;
  return tellTrouble(request, target.onTrouble, async (retried) => {
    for (let tries = 1; ; tries += 1) {
      target.signal.throwIfAborted();
      try {
        return await client.send(command, { ...options, abortSignal });
      } catch (error) {
        target.signal.throwIfAborted();
        if (abortSignal.aborted) throw error;
        const { failure } = toS3Failure(error, operation, target);
        const pauseMs = isClockCorrected(error) && tries === 1 ? 0 : pauseBeforeNext(failure, tries);
        if (pauseMs === undefined) throw error;
        retried(failure, tries);
        if (!(await pause(pauseMs, abortSignal))) throw error;
      }
    }
  });
}

/** The name of a command's request. */
export function requestOf(command: AnyCommand): S3Request {
  return command.constructor.name.replace(/Command$/, '') as S3Request;
}

/** Undefined when there is to be no further try. */
function pauseBeforeNext({ code }: Failure, tries: number): number | undefined {
  if (!MENDED_AT_ONCE.has(code) || tries >= (code === 'timeout' ? TRIES_IN_SILENCE : TRIES)) return undefined;
  const full = (code === 'throttled' ? THROTTLED_PAUSE_MS : PAUSE_MS) * 2 ** (tries - 1);
  return full / 2 + Math.random() * (full / 2);
}

/** Resolves to whether it was not cut short. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false);
}

/** The SDK takes over the server's clock when that was why it refused; the next try is signed by it. */
function isClockCorrected(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}
