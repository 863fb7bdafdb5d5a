/** Changes our documents as somebody might who can write to the bucket. The same document and seed give the same change. */
import { openRandom, type Random } from './random.ts';

/** Words that do harm where they become a part of a statement. */
const SQL: readonly string[] = [
  '"',
  'a"""b',
  "'",
  "''\\'",
  ';--',
  "x'); DROP TABLE canary; --",
  'x" int); DROP TABLE canary; --',
  'integer); DROP TABLE canary; --',
  'integer DEFAULT sing()',
  'original; COMMIT; BEGIN READ WRITE; DROP TABLE canary',
  '"public"."canary" AS x, LATERAL (SELECT sing()) AS y --',
  "\\'; SELECT sing(); --",
  '$$; SELECT sing(); $$',
  'public.canary',
];
/** And those that do it elsewhere. */
const HOSTILE: readonly string[] = [
  '../../other/run=20260101T000000Z/part-00000.jsonl.gz',
  '/etc/passwd',
  '\u0000',
  '\u001b[2J\r\n',
  '\u202e',
  '\ud800',
  '',
  'x'.repeat(70_000),
];
const NUMBERS: readonly number[] = [-1, 0, 0.5, 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, -0, 400_001];
const NAMES: readonly string[] = ['__proto__', 'constructor', 'toString', 'from', 'sql', 'then', 'query', 'committing'];

/** A place in a document: a field of a mapping, or an item of a list. */
interface Place {
  holder: Record<string, unknown> | unknown[];
  field: string;
}

/** One to four changes of what the document says; at times of its bytes instead. */
export function mutate(document: string, seed: number): string {
  const random = openRandom(seed);
  if (random.integer(1, 5) === 1) return changeText(document, random);
  const root: unknown = JSON.parse(document);
  for (let left = random.integer(1, 4); left > 0; left -= 1) {
    const place = pickPlace(root, random);
    if (place !== undefined) changePlace(place, root, random);
  }
  return `${JSON.stringify(root, null, 2)}\n`;
}

/** From the root down, so that a list of many items hides nothing that stands beside it. */
function pickPlace(value: unknown, random: Random): Place | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = Object.entries(value);
  if (fields.length === 0) return undefined;
  // What holds something is few of the fields, and most of the document.
  const holders = fields.filter(([, item]) => typeof item === 'object' && item !== null);
  const [field] = random.pick(holders.length > 0 && random.integer(1, 3) > 1 ? holders : fields);
  const place: Place = { holder: value as Place['holder'], field };
  return random.integer(1, 4) === 1 ? place : (pickPlace(valueAt(place), random) ?? place);
}

function changePlace({ holder, field }: Place, root: unknown, random: Random): void {
  const change = random.integer(1, 8);
  if (change <= 4) set(holder, field, oddValue(valueAt({ holder, field }), random));
  else if (change === 5) set(holder, field, structuredClone(valueAt(pickPlace(root, random) ?? { holder, field })));
  else if (change === 6) remove(holder, field);
  else if (Array.isArray(holder)) changeList(holder, Number(field), root, random);
  else set(holder, random.pick([...NAMES, ...Object.keys(holder)]), oddValue(undefined, random));
}

function changeList(list: unknown[], at: number, root: unknown, random: Random): void {
  const copy = structuredClone(list[at]);
  const change = random.integer(1, 4);
  if (change === 1) list.reverse();
  else if (change === 2) list.splice(at, 0, copy);
  else if (change === 3) list.length = at;
  else {
    const length = random.integer(1, isShort(copy, root) ? 2000 : 2);
    // Each on its own: what is set in one later is not set in all.
    list.push(...Array.from({ length }, () => structuredClone(copy)));
  }
}

/** What is long is not repeated for ever, nor in a document that has grown: it is to stay one that is read. */
function isShort(item: unknown, root: unknown): boolean {
  return JSON.stringify(item ?? null).length < 1000 && JSON.stringify(root).length < 20_000;
}

/** Of the same type more often than not, as what is of another one is refused soon. */
function oddValue(value: unknown, random: Random): unknown {
  const kind = random.integer(1, 4) === 1 ? random.pick(['string', 'number', 'other']) : typeof value;
  if (kind === 'string') return oddText(typeof value === 'string' ? value : '', random);
  if (kind === 'number') return random.pick([...NUMBERS, random.integer(0, 100_000)]);
  return random.pick([null, true, [], {}, [[]], [null], nested(40)]);
}

function oddText(text: string, random: Random): string {
  const hostile = random.pick(random.integer(1, 3) === 1 ? HOSTILE : SQL);
  return random.pick([hostile, text + hostile, hostile + text, text.slice(1), text + text, text.toUpperCase()]);
}

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)];
}

/** Bytes in the place of others, a piece twice, a piece left out, and what a parser chokes on. */
function changeText(text: string, random: Random): string {
  const from = random.integer(0, text.length);
  const to = random.integer(from, text.length);
  const [before, piece, after] = [text.slice(0, from), text.slice(from, to), text.slice(to)];
  return random.pick([
    before,
    before + after,
    before + piece + piece + after,
    before + random.pick([...SQL, ...HOSTILE]) + after,
    `${before}${random.pick(['{"a":', '[', '"', ',', '}', ']'])}${piece}${after}`,
    `${before}${'['.repeat(50_000)}${after}`,
    `${before}${'{"a":'.repeat(50_000)}${after}`,
    `${before}${'1'.repeat(50_000)}${after}`,
    before + String.fromCharCode(random.integer(0, 0xffff)) + text.slice(from + 1),
  ]);
}

function valueAt({ holder, field }: Place): unknown {
  return Reflect.get(holder, field);
}

function set(holder: Place['holder'], field: string, value: unknown): void {
  Object.defineProperty(holder, field, { value, enumerable: true, configurable: true, writable: true });
}

function remove(holder: Place['holder'], field: string): void {
  if (Array.isArray(holder)) holder.splice(Number(field), 1);
  else Reflect.deleteProperty(holder, field);
}
