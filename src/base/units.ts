/** Sizes, durations and counts as people write and read them. */

const SIZE_UNITS: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Bytes for text such as `8MiB`, `64 kB` or `1048576`; undefined when it is not a size. */
export function parseSize(text: string): number | undefined {
  return parseWithUnit(text, SIZE_UNITS, 1);
}

/** Milliseconds for text such as `2s`, `500ms`, `1.5h`; undefined when it is not a duration. A bare number is not one. */
export function parseDuration(text: string): number | undefined {
  return parseWithUnit(text, DURATION_UNITS, undefined);
}

function parseWithUnit(text: string, units: Record<string, number>, bare: number | undefined): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) return undefined;
  const [, digits = '', unit = ''] = match;
  const factor = unit === '' ? bare : units[unit.toLowerCase()];
  return factor === undefined ? undefined : Math.round(Number(digits) * factor);
}

/** The shortest text that {@link parseDuration} reads as exactly so many milliseconds: `90d`, `5m`, `1500ms`. */
export function writeDuration(ms: number): string {
  return writeWithUnit(ms, ['d', 'h', 'm', 's', 'ms'], DURATION_UNITS);
}

/** The same for {@link parseSize}: `8MiB`, `1000B`. */
export function writeSize(bytes: number): string {
  return writeWithUnit(bytes, ['TiB', 'GiB', 'MiB', 'KiB', 'B'], SIZE_UNITS);
}

function writeWithUnit(value: number, names: readonly string[], units: Record<string, number>): string {
  const name = names.find((unit) => value > 0 && value % (units[unit.toLowerCase()] ?? 1) === 0) ?? names.at(-1) ?? '';
  return `${value / (units[name.toLowerCase()] ?? 1)}${name}`;
}

/** `12.3 MiB` for 12897485. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = Math.round(bytes);
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value.toString() : value.toFixed(1)} ${names[unit] ?? ''}`;
}

/** `466,000` for 466000. By hand: the first number that the system's tables format takes 13 ms of a start. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 row`, `466,000 rows`. */
export function countOf(count: number, one: string, several = `${one}s`): string {
  return `${formatCount(count)} ${Math.round(count) === 1 ? one : several}`;
}

/** `1h 02m`, `3m 07s`, `5.2 s` for milliseconds. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(whole / 3600)}h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
}

/** `365 days` for what is two days or longer, else as {@link formatDuration} has it. */
export function formatDays(ms: number): string {
  const days = ms / 86_400_000;
  return days < 2 ? formatDuration(ms) : `${formatCount(days)} days`;
}

/** `2026-11-26 02:15:00` for an instant, by the clock of this machine's time zone. */
export function formatLocalTime(instant: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [String(instant.getFullYear()).padStart(4, '0'), two(instant.getMonth() + 1), two(instant.getDate())];
  return `${day.join('-')} ${[instant.getHours(), instant.getMinutes(), instant.getSeconds()].map(two).join(':')}`;
}
