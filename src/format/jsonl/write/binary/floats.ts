/** Floating-point numbers as Postgres prints them with extra_float_digits = 1: the shortest digits that read back the same. */

/** Within these decimal exponents Postgres writes a plain number, outside of them one with an exponent. */
const LOWEST_PLAIN_EXPONENT = -4;
const FLOAT8_PLAIN_DIGITS = 15;
const FLOAT4_PLAIN_DIGITS = 6;
/** From here on, the shortest digits may lie exactly between two doubles. */
const FIRST_WITH_MIDPOINTS = 2 ** 54;

/** The text of a float8. */
export function formatFloat8(value: number): string {
  // Small integers are most of what there is, and JavaScript prints them as Postgres does.
  if ((value | 0) === value && (value !== 0 || 1 / value > 0)) return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const magnitude = Math.abs(value);
  const text = magnitude >= FIRST_WITH_MIDPOINTS ? shortestBesideMidpoint(magnitude) : magnitude.toString();
  return layOut(value, text, FLOAT8_PLAIN_DIGITS);
}

/** The text of a float4, given as the double of the same value. */
export function formatFloat4(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  if (value === 0) return 1 / value > 0 ? '0' : '-0';
  return layOut(value, shortestFloat4(Math.abs(value)), FLOAT4_PLAIN_DIGITS);
}

/** Puts digits such as JavaScript prints them into Postgres's form. */
function layOut(value: number, text: string, plainDigits: number): string {
  const sign = value < 0 || (value === 0 && 1 / value < 0) ? '-' : '';
  const mark = text.indexOf('e');
  if (mark < 0) {
    const point = text.indexOf('.');
    const integerDigits = point < 0 ? text.length : point;
    const isPlain = text.startsWith('0.') ? !text.startsWith('0.0000') : integerDigits <= plainDigits;
    if (isPlain) return sign + text;
  }
  const { digits, exponent } = split(text);
  if (exponent >= LOWEST_PLAIN_EXPONENT && exponent < plainDigits) return sign + plain(digits, exponent);
  const exponentText = Math.abs(exponent).toString().padStart(2, '0');
  const fraction = digits.length === 1 ? '' : `.${digits.slice(1)}`;
  return `${sign}${digits[0] ?? '0'}${fraction}e${exponent < 0 ? '-' : '+'}${exponentText}`;
}

/** Significant digits without zeros at either end, and the decimal exponent of the first one. */
function split(text: string): { digits: string; exponent: number } {
  const mark = text.indexOf('e');
  const mantissa = mark < 0 ? text : text.slice(0, mark);
  const shift = mark < 0 ? 0 : Number(text.slice(mark + 1));
  const point = mantissa.indexOf('.');
  const joined = mantissa.replace('.', '');
  const integerDigits = point < 0 ? mantissa.length : point;
  const leading = /^0*/.exec(joined)?.[0].length ?? 0;
  const digits = joined.slice(leading).replace(/0+$/, '');
  return { digits: digits === '' ? '0' : digits, exponent: digits === '' ? 0 : integerDigits - leading - 1 + shift };
}

function plain(digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  if (digits.length <= exponent + 1) return digits + '0'.repeat(exponent + 1 - digits.length);
  return `${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}

/**
 * Postgres never prints digits that lie exactly between two doubles, as some readers round those wrongly; JavaScript
 * does. Then one digit more is taken, as often as needed.
 */
function shortestBesideMidpoint(value: number): string {
  const shortest = value.toString();
  if (!isMidpoint8(shortest, value)) return shortest;
  for (let precision = split(shortest).digits.length; precision <= 17; precision += 1) {
    const text = value.toPrecision(precision);
    if (Number(text) === value && !isMidpoint8(text, value)) return text;
  }
  return value.toPrecision(17);
}

function isMidpoint8(text: string, value: number): boolean {
  const { digits, exponent } = split(text);
  const zeros = exponent - digits.length + 1;
  // Larger powers of ten have too many odd factors for a double's 53 bits and one more.
  if (zeros < 0 || zeros > 30) return false;
  const exact = BigInt(digits) * 10n ** BigInt(zeros);
  const difference = exact - BigInt(value);
  if (difference === 0n) return false;
  const [below, above] = neighbours8(value);
  const gap = difference > 0n ? BigInt(above) - BigInt(value) : BigInt(value) - BigInt(below);
  return (difference > 0n ? difference : -difference) * 2n === gap;
}

const scratch = new DataView(new ArrayBuffer(8));

function neighbours8(value: number): [number, number] {
  scratch.setFloat64(0, value);
  const bits = scratch.getBigUint64(0);
  scratch.setBigUint64(0, bits - 1n);
  const below = scratch.getFloat64(0);
  scratch.setBigUint64(0, bits + 1n);
  const above = scratch.getFloat64(0);
  return [below, Number.isFinite(above) ? above : value];
}

/** Of the fewest digits that read back as this float4, those nearest to it. */
function shortestFloat4(value: number): string {
  const [low, high] = interval4(value);
  for (let precision = 1; precision < 9; precision += 1) {
    const text = evenOfTie(value.toPrecision(precision), value, precision);
    if (isInside(Number(text), low, high)) return text;
    const other = otherSide(text, value, precision);
    if (other !== undefined && isInside(Number(other), low, high)) return other;
  }
  return value.toPrecision(9);
}

/** Exactly between two candidates, JavaScript takes the larger one and Postgres the even one. */
function evenOfTie(rounded: string, value: number, precision: number): string {
  const { digits } = split(rounded);
  const lastDigit = digits.length < precision ? 0 : Number(digits.at(-1));
  if (lastDigit % 2 === 0 || Number(rounded) < value) return rounded;
  // A float4 is a whole number over a power of two: its decimals end, and here they are written out in full.
  const exact = split(value.toPrecision(100)).digits;
  if (exact.length !== precision + 1 || !exact.endsWith('5')) return rounded;
  const mark = rounded.indexOf('e');
  const mantissa = mark < 0 ? rounded : rounded.slice(0, mark);
  return `${mantissa.slice(0, -1)}${lastDigit - 1}${mark < 0 ? '' : rounded.slice(mark)}`;
}

function isInside(candidate: number, low: number, high: number): boolean {
  return candidate > low && candidate < high;
}

/** Where the interval is wider above than below, the nearest digits may fall out below while the next above are inside. */
function otherSide(text: string, value: number, precision: number): string | undefined {
  if (Number(text) >= value) return undefined;
  const { digits, exponent } = split(text);
  const step = 10 ** (exponent - precision + 1);
  const padded = BigInt(digits.padEnd(precision, '0')) + 1n;
  const candidate = Number(padded.toString()) * step;
  return Number.isFinite(candidate) && candidate > value ? candidate.toPrecision(precision) : undefined;
}

/** The doubles halfway to the next float4 below and above: exact, as they need one bit more. */
function interval4(value: number): [number, number] {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  scratch.setUint32(0, bits - 1);
  const below = scratch.getFloat32(0);
  scratch.setUint32(0, bits + 1);
  const above = scratch.getFloat32(0);
  const next = Number.isFinite(above) ? above : value + (value - below);
  return [(value + below) / 2, (value + next) / 2];
}
