/** What a purge notes in the run's folder: how far it came, and what became of each line. */
import * as z from 'zod';
import type { Failure } from '../base/errors.ts';
import type { DocumentKind } from './documents.ts';
import { count, list, MAX_SEGMENTS, name, time, TOOL_FIELDS } from './fields.ts';

export const PURGE_FORMAT = 'pgsluice/purge/1';

const MAX_CHECKS = 10_000;

/** What becomes of a line. */
export const OUTCOMES = ['deleted', 'absent', 'changed', 'locked', 'referenced', 'inexact', 'kept'] as const;
export type Outcome = (typeof OUTCOMES)[number];

const totals = z.strictObject({
  deleted: count(),
  absent: count(),
  changed: count(),
  locked: count(),
  referenced: count(),
  inexact: count(),
  kept: count(),
});
/** Lines by what became of them. */
export type Totals = z.infer<typeof totals>;

/** Those that are in the source after it: neither deleted nor gone before. */
export function rowsLeft(all: Totals): number {
  return OUTCOMES.reduce((sum, outcome) => sum + (outcome === 'deleted' || outcome === 'absent' ? 0 : all[outcome]), 0);
}

/** An object of which lines stayed, or that a purge which was broken off has left in the middle, by its place in the manifest. */
const stayed = z.strictObject({ object: count().max(MAX_SEGMENTS - 1), ...totals.shape });
export type StayedObject = z.infer<typeof stayed>;

/** A partition that goes whole. */
const partition = z.strictObject({
  name: name(),
  oid: count()
    .min(1)
    .max(2 ** 32 - 1),
  then: z.enum(['drop', 'detach']),
  /**
   * `intended` before anything is done to it: from then on, whatever the catalogue shows of it may be our doing. `attached`: it holds
   * other rows than the run, and was left, or made a partition again. `gone`: it was not there any more.
   */
  state: z.enum(['intended', 'dropped', 'detached', 'attached', 'gone']),
  /** The names of the CHECK constraints that it had before: a detach may add one. */
  checks: list(name(), MAX_CHECKS),
  /** The backend that did it, as far as is known: it may be at work still. `since` is when it began, in seconds. */
  backend: z.strictObject({ pid: count(), since: name() }),
});
export type PurgedPartition = z.infer<typeof partition>;

const purgeSchema = z.strictObject({
  format: z.literal(PURGE_FORMAT),
  archive: name().min(1),
  run: name().min(1),
  state: z.enum(['running', 'done']),
  source: z.strictObject({ database: name(), systemIdentifier: name() }),
  /** Of the process that wrote it last: no two are equal. */
  owner: name().min(1),
  startedAt: time(),
  finishedAt: time().nullable(),
  host: name(),
  tool: z.strictObject(TOOL_FIELDS),
  totals,
  /** The place in the manifest of the first object that was not gone through to its end; the next purge begins with it. */
  next: count().max(MAX_SEGMENTS),
  /** How often all objects were gone through, or again those with lines that may still go. */
  rounds: count().max(1000),
  stayed: list(stayed, MAX_SEGMENTS),
  /** The restore whose rows it was told to purge again; see restored.ts. */
  restored: name().exactOptional(),
  /** Of a run of `every: partition` that was purged by its partition. */
  partition: partition.exactOptional(),
});
export type PurgeRecord = z.infer<typeof purgeSchema>;

/** Whether a failure says that what was noted of a purge, or of a restore, cannot be believed. */
export function isBadRecord({ code }: Failure): boolean {
  return code === 'bad-purge-record' || code === 'untrusted';
}

export const PURGE: DocumentKind<PurgeRecord> = {
  name: 'purge record',
  format: PURGE_FORMAT,
  schema: purgeSchema,
  maxBytes: 64 * 1024 ** 2,
  code: 'bad-purge-record',
  stage: 'purge',
};
