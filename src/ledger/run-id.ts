/**
 * Run ids: a time in UTC to the second, `20261123T021500Z`. The same id always means the same keys. A further run of the same
 * window has a generation behind it, `20261123T000000Z_2`. This is the one place that reads and orders them.
 */
import { UsageError } from '../base/errors.ts';

/** A generation has six digits. */
const GENERATION_BITS = 20n;
const PATTERN = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z(?:_([1-9]\d{0,5}))?$/;

/** The run id of a time; fractions of a second are dropped. */
export function formatRunId(time: Date): string {
  return time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
}

/** The id of a further run of a window; the first generation is the one without a number. */
export function formatGeneration(time: Date, generation: number): string {
  return generation === 1 ? formatRunId(time) : `${formatRunId(time)}_${generation}`;
}

/** The time that a run id names. Throws UsageError when it names none. */
export function parseRunId(id: string): Date {
  const read = readRunId(id);
  if (read === undefined)
    throw new UsageError(`"${id}" is not a run id; it must be a time in UTC such as 20261123T021500Z`);
  return read.time;
}

/** Whether `id` has the form of a run id and names a real time. */
export function isRunId(id: string): boolean {
  return readRunId(id) !== undefined;
}

/** Which run of its window it is: 1 for the first. Of what is no run id, 1. */
export function generationOf(id: string): number {
  return readRunId(id)?.generation ?? 1;
}

/** By time, and then by generation, as a number. */
export function compareRunIds(a: string, b: string): number {
  const [baseA = '', numberA = '1'] = a.split('_');
  const [baseB = '', numberB = '1'] = b.split('_');
  if (baseA !== baseB) return baseA < baseB ? -1 : 1;
  return Number(numberA) - Number(numberB);
}

/** As a number, so that a million ids can be held and ordered; the same order as {@link compareRunIds}. */
export function packRunId(id: string): bigint | undefined {
  const read = readRunId(id);
  return read && (BigInt(read.time.getTime() / 1000) << GENERATION_BITS) | BigInt(read.generation);
}

/** The id that was packed. */
export function unpackRunId(packed: bigint): string {
  const generation = BigInt.asUintN(Number(GENERATION_BITS), packed);
  return formatGeneration(new Date(Number(packed >> GENERATION_BITS) * 1000), Number(generation));
}

function readRunId(id: string): { time: Date; generation: number } | undefined {
  const match = PATTERN.exec(id);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second, number] = match.slice(1);
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  const generation = Number(number ?? 1);
  return Number.isNaN(time.getTime()) || formatGeneration(time, generation) !== id ? undefined : { time, generation };
}
