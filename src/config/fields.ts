/** The kinds of values that options have. What they say about a bad value never has it; shown.ts adds it where it is no secret. */
import * as z from 'zod';
import { errorText } from '../base/errors.ts';
import { formatBytes, parseDuration, parseSize } from '../base/units.ts';

/** Text that is not empty. */
export function text() {
  return z.string().min(1);
}

/** A list of names, such as columns. */
export function names() {
  return z.array(text()).min(1);
}

/** A whole number within bounds. */
export function count(min: number, max: number) {
  return z.int().min(min).max(max);
}

/** A mapping from names to entries, at least one; the names themselves are checked in checks.ts. */
export function named<T extends z.ZodType>(entry: T) {
  return z
    .record(z.string(), entry)
    .refine((entries) => Object.keys(entries).length > 0, 'must have at least one entry');
}

/** Text that `describeProblem` has nothing to say about; what it says must not contain the text. */
export function checked(describeProblem: (value: string) => string | undefined) {
  return text().superRefine((value, context) => {
    const message = value === '' ? undefined : describeProblem(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
}

/** What `read` says against a text by throwing. */
export function describeProblemOf(read: (value: string) => unknown): (value: string) => string | undefined {
  return (value) => {
    try {
      read(value);
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  };
}

/** A number that JavaScript holds exactly as it was written, as far as that can be told. */
export function safeNumber() {
  return z.number().refine((value) => !Number.isInteger(value) || Number.isSafeInteger(value), {
    message: 'is too large for an exact number; put it in quotes',
  });
}

/** Text that is sent to Postgres as a value, which has no NUL. */
export function paramText() {
  return z.string().refine((value) => !value.includes('\0'), {
    message: 'must have no NUL, which no value in Postgres holds',
  });
}

/** A size as it is written, parsed to bytes. */
export function size(min: number, max: number) {
  const error = 'must be a size such as 8MiB';
  return z
    .union([z.int().min(0, error), z.string().regex(/^\s*\d+(\.\d+)?\s*([kKmMgGtT]?[iI]?[bB])?\s*$/, error)], { error })
    .transform((value) => (typeof value === 'number' ? value : parseSize(value)))
    .pipe(
      z
        .number({ error })
        .min(min, `must be at least ${formatBytes(min)}`)
        .max(max, `must be at most ${formatBytes(max)}`)
        .brand<'bytes'>(),
    );
}

/** A duration as it is written, parsed to milliseconds. */
export function duration(minMs: number, maxMs: number) {
  const error = 'must be a duration with a unit (ms, s, m, h, d), such as 2s';
  return z
    .string({ error })
    .regex(/^\s*\d+(\.\d+)?\s*([mM][sS]|[sSmMhHdD])\s*$/, error)
    .transform((value) => parseDuration(value))
    .pipe(
      z
        .number({ error })
        .min(minMs, `must be at least ${minMs}ms`)
        .max(maxMs, `must be at most ${maxMs / 3_600_000}h`)
        .brand<'ms'>(),
    );
}

/** Bytes a second, as a size is written; its name says already what it is of. */
export function bytesPerSecond(min: number, max: number) {
  return size(min, max).transform((bytes): number => bytes);
}

/** A part of a whole, written as a percentage and parsed to a number up to 1. */
export function share() {
  const error = 'must be a percentage from 1% to 100%, such as 50%';
  return z
    .string({ error })
    .regex(/^\s*\d{1,3}(\.\d+)?\s*%\s*$/, error)
    .transform((value) => Number.parseFloat(value) / 100)
    .pipe(z.number({ error }).min(0.01, error).max(1, error));
}
