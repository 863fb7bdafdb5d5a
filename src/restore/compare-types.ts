/** Says whether a type of the target holds every value of an archived one, by what the two are made of. Pure: no query. */
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import type { TypeDefinition } from '../postgres/type-definitions.ts';
import { parseTypeName, type TypeName } from './types.ts';

/** The definitions of one side, by name; undefined where they are not known, as in the first manifests. */
export type Definitions = ReadonlyMap<string, TypeDefinition> | undefined;

/** More levels are a circle, which only a manifest of somebody else's has. */
const MOST_LEVELS = 32;
const MOST_NAMED = 8;

export function definitionsOf(types: readonly TypeDefinition[] | undefined): Definitions {
  return types && new Map(types.map((type) => [type.name, type]));
}

/** Without definitions of the archive's types, names alone are compared. */
export function fits(archived: string, there: string, known: Definitions, here: Definitions, level = 0): boolean {
  if (known === undefined) return isSameName(archived, there) || isWider(archived, there);
  if (level > MOST_LEVELS) return false;
  const deeper = (a: string, b: string): boolean => fits(a, b, known, here, level + 1);
  if (archived.endsWith('[]') && there.endsWith('[]')) return deeper(archived.slice(0, -2), there.slice(0, -2));
  const from = known.get(archived);
  const to = here?.get(there);
  if (from?.base !== undefined) return deeper(from.base, there);
  if (to?.base !== undefined) return deeper(archived, to.base);
  if (from?.labels !== undefined) {
    const labels = new Set(to?.labels);
    return from.labels.every((label) => labels.has(label)) && to?.labels !== undefined;
  }
  if (from?.attributes !== undefined) {
    const attributes = new Map(to?.attributes?.map(({ name, type }) => [name, type]));
    return from.attributes.every(({ name, type }) => deeper(type, attributes.get(name) ?? ''));
  }
  return isSameName(archived, there) || isWider(archived, there);
}

/** Attributes of composites within `there` that the archived type has not, as `type.attribute`: their values come back NULL. */
export function attributesToCome(archived: string, there: string, known: Definitions, here: Definitions): string[] {
  const found = known === undefined ? [] : findToCome(archived, there, known, here, 0);
  return [...new Set(found)];
}

function findToCome(archived: string, there: string, known: Definitions, here: Definitions, level: number): string[] {
  if (level > MOST_LEVELS) return [];
  const deeper = (a: string, b: string): string[] => findToCome(a, b, known, here, level + 1);
  if (archived.endsWith('[]') && there.endsWith('[]')) return deeper(archived.slice(0, -2), there.slice(0, -2));
  const from = known?.get(archived);
  const to = here?.get(there);
  if (from?.base !== undefined) return deeper(from.base, there);
  if (to?.base !== undefined) return deeper(archived, to.base);
  const attributes = new Map(from?.attributes?.map(({ name, type }) => [name, type]));
  if (from?.attributes === undefined) return [];
  return (to?.attributes ?? []).flatMap(({ name, type }) => {
    const before = attributes.get(name);
    return before === undefined ? [`${there}.${quoteIdentifier(name)}`] : deeper(before, type);
  });
}

/** The type with what it is made of. */
export function describeType(name: string, definitions: Definitions): string {
  const { base, labels, attributes } = definitions?.get(name) ?? {};
  if (base !== undefined) return `${name} (a domain over ${base})`;
  if (labels !== undefined) return `${name} (an enum of ${shorten(labels.map(quoteLiteral))})`;
  if (attributes === undefined) return name;
  return `${name} (of ${shorten(attributes.map((attribute) => `${quoteIdentifier(attribute.name)} ${attribute.type}`))})`;
}

/** A name may come with its schema or without, by the search path of the session that asked. */
export function isSameName(a: string, b: string): boolean {
  return a === b || a.endsWith(`.${b}`) || b.endsWith(`.${a}`);
}

function shorten(parts: readonly string[]): string {
  const more = parts.length > MOST_NAMED ? `, and ${parts.length - MOST_NAMED} more` : '';
  return parts.slice(0, MOST_NAMED).join(', ') + more;
}

const INTEGERS = ['smallint', 'integer', 'bigint'];

/** Whether each value stays as it is, to the last digit. */
function isWider(archived: string, there: string): boolean {
  const [from, to] = [parseTypeName(archived), parseTypeName(there)];
  if (to === undefined || from?.array !== to.array) return false;
  if (INTEGERS.includes(from.element)) return INTEGERS.indexOf(to.element) >= INTEGERS.indexOf(from.element);
  if (from.element === 'character varying') return to.element === 'text' || isWiderText(from, to);
  return from.element === 'numeric' && to.element === 'numeric' && isWiderNumeric(from, to);
}

function isWiderText(from: TypeName, to: TypeName): boolean {
  if (to.element !== 'character varying') return false;
  return to.modifier === '' || (from.modifier !== '' && numbersOf(to)[0] >= numbersOf(from)[0]);
}

/** As many digits before the point, and behind it. */
function isWiderNumeric(from: TypeName, to: TypeName): boolean {
  if (to.modifier === '') return true;
  if (from.modifier === '') return false;
  const [[fromAll, fromBehind], [toAll, toBehind]] = [numbersOf(from), numbersOf(to)];
  return toBehind >= fromBehind && toAll - toBehind >= fromAll - fromBehind;
}

function numbersOf({ modifier }: TypeName): [number, number] {
  const [first = 0, second = 0] = modifier.slice(1, -1).split(',').map(Number);
  return [first, second];
}
