/** Opens a target under a signal: its client sends each request by the policy of `send.ts`, and ends it with the signal. */
import type { S3Client } from '@aws-sdk/client-s3';
import type { DestinationConfig } from '../../config/schema.ts';
import type { OnTrouble } from '../trouble.ts';
import { boundAnswers } from './bound-answers.ts';
import { createClient, timeoutsOf, type Learned, type S3Location, type S3Target, type S3Timeouts } from './client.ts';
import { PartMemory } from './parts.ts';
import { FIRST_IN_FLIGHT } from './parts-in-flight.ts';
import { sendRequest, type AnyCommand, type SendOptions } from './send.ts';

/** The client that one under a signal was made from. */
const clients = new WeakMap<S3Client, S3Client>();

/** By destination, as the config has it: a reload forgets. */
const known = new WeakMap<DestinationConfig, Learned>();

export function openS3Target(
  destination: DestinationConfig,
  { bucket, prefix }: S3Location,
  signal: AbortSignal,
  onTrouble: OnTrouble,
  overrides: Partial<S3Timeouts> = {},
): S3Target {
  const timeouts = { ...timeoutsOf(destination), ...overrides };
  const client = createClient(destination, timeouts);
  boundAnswers(client);
  const learned = learnedOf(destination);
  const partMemory = new PartMemory(destination.partBytes);
  return targetUnder({ client, bucket, prefix, destination, timeouts, signal, learned, onTrouble, partMemory }, signal);
}

/** A thread opens a store anew after a failure or a pause, and keeps what the last one has learned. */
function learnedOf(destination: DestinationConfig): Learned {
  const learned = known.get(destination) ?? {
    ...{ quotesETags: false, removesMany: true, seesHolds: undefined },
    window: FIRST_IN_FLIGHT,
  };
  known.set(destination, learned);
  return learned;
}

/** The same target, whose requests end with another signal, and tell another one. They then reject with the signal's reason. */
export function targetUnder(target: S3Target, signal: AbortSignal, onTrouble = target.onTrouble): S3Target {
  const client = clients.get(target.client) ?? target.client;
  const send = (command: AnyCommand, options?: SendOptions): Promise<unknown> =>
    sendRequest(bound, client, command, options);
  const bound: S3Target = {
    ...target,
    signal,
    onTrouble,
    client: Object.create(client, { send: { value: send } }) as S3Client,
  };
  clients.set(bound.client, client);
  return bound;
}
