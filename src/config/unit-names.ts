/** What an option with a unit is called once its value is a number: `backoff: 2s` becomes `backoffMs: 2000`. */
import type * as z from 'zod';

/** The units that values are parsed to. */
export type Unit = 'bytes' | 'ms';

/** Options as they were written, with each duration and size under the name that ends in its unit. */
export type WithUnits<T> = T extends z.$brand<'ms'> | z.$brand<'bytes'>
  ? number
  : T extends readonly unknown[]
    ? { [K in keyof T]: WithUnits<T[K]> }
    : T extends object
      ? { [K in keyof T as NameWithUnit<K, Exclude<T[K], undefined>>]: WithUnits<T[K]> }
      : T;

type NameWithUnit<Name, Value> = Name extends string
  ? Value extends z.$brand<'ms'>
    ? `${Name}Ms`
    : Value extends z.$brand<'bytes'>
      ? `${Name extends `${infer Stem}Size` ? Stem : Name}Bytes`
      : Name
  : Name;

/**
 * The name of a written option with its unit last: drainTimeout in ms is drainTimeoutMs, partSize in bytes is
 * partBytes.
 */
export function nameWithUnit(written: string, unit: Unit | undefined): string {
  if (unit === undefined) return written;
  return unit === 'ms' ? `${written}Ms` : `${written.replace(/Size$/, '')}Bytes`;
}
