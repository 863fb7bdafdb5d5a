/** Finds out how the JSON of each column becomes text that its type reads, by the target's own catalogue. */
import type { Client } from '../postgres/connect.ts';
import type { ValueForm, ValueInput } from '../format/jsonl/forms.ts';
import { hasOwnJson } from '../postgres/columns.ts';

/** A type as the catalogue has it; of an array or a composite, what it is made of. */
interface TypeRow {
  oid: number;
  name: string;
  /** As SQL, without a length or the like. */
  sql: string;
  /** Its input function as SQL, with what it takes besides the text, where a cast from text is somebody's function and may read otherwise. */
  inputFunction: { name: string; rest: string } | null;
  /** `d` for a domain, `c` for a composite. */
  kind: string;
  baseOid: number;
  /** Of a domain over an array. */
  dimensions: number;
  elementOid: number;
  delimiter: string | null;
  /** Whether a cast of the user's own makes its JSON. */
  hasCast: boolean;
  attributes: { name: string; oid: number; dimensions: number }[];
}

const TYPES_SQL = `
SELECT t.oid::pg_catalog.int8::pg_catalog.float8 AS oid, t.typname AS name,
  pg_catalog.format_type(t.oid, -1) AS sql, (
    SELECT pg_catalog.json_build_object('name', pg_catalog.format('%I.%I', n.nspname, p.proname),
      'rest', CASE WHEN p.pronargs OPERATOR(pg_catalog.>) 1 THEN pg_catalog.format(
        ', %s, -1', CASE WHEN t.typelem OPERATOR(pg_catalog.=) 0 THEN t.oid ELSE t.typelem END) ELSE '' END)
    FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) t.typinput::pg_catalog.oid
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE k.castsource OPERATOR(pg_catalog.=) 25 AND k.casttarget OPERATOR(pg_catalog.=) t.oid
      AND k.castmethod OPERATOR(pg_catalog.=) 'f' AND t.typtype OPERATOR(pg_catalog.=) 'b'
  ) AS "inputFunction",
  t.typtype::pg_catalog.text AS kind,
  t.typbasetype::pg_catalog.int8::pg_catalog.float8 AS "baseOid", t.typndims AS dimensions,
  CASE WHEN t.typlen OPERATOR(pg_catalog.=) -1 THEN t.typelem::pg_catalog.int8::pg_catalog.float8
    ELSE 0 END AS "elementOid",
  e.typdelim::pg_catalog.text AS delimiter,
  ${hasOwnJson('t.oid')} AS "hasCast",
  COALESCE((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'oid', a.atttypid::pg_catalog.int8, 'dimensions', a.attndims) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    WHERE t.typtype OPERATOR(pg_catalog.=) 'c' AND a.attrelid OPERATOR(pg_catalog.=) t.typrelid
      AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
  ), '[]') AS attributes
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) t.typelem
WHERE t.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])`;

const MADE_BY_CAST = 'a cast to json made its values; they come back only if the type reads that form';

const BYTEA_OID = 17;
const JSON_OIDS = new Set([114, 3802]);
const VECTOR_OIDS = new Set([22, 30]);

/**
 * The forms of types, and what their text is cast to, each with the dimensions that its column was declared with, in the same order. `doubt` says what keeps
 * some values of such a type from coming back.
 */
export async function resolveForms(
  client: Client,
  columns: readonly { typeOid: number; dimensions: number }[],
): Promise<{ form: ValueForm; input: ValueInput; doubt: string | undefined }[]> {
  const types = await loadTypes(
    client,
    columns.map(({ typeOid }) => typeOid),
  );
  return columns.map(({ typeOid, dimensions }) => {
    const form = formOf(types, typeOid, dimensions);
    return {
      form,
      input: inputOf(types, typeOid),
      doubt: isMadeByCast(types, typeOid) ? MADE_BY_CAST : describeDimensions(form),
    };
  });
}

/** The types of these OIDs and all that they are made of. */
async function loadTypes(client: Client, oids: readonly number[]): Promise<Map<number, TypeRow>> {
  const types = new Map<number, TypeRow>();
  for (let wanted = new Set(oids); wanted.size > 0;) {
    const { rows } = await client.query<TypeRow>(TYPES_SQL, [[...wanted]]);
    for (const row of rows) types.set(row.oid, row);
    wanted = new Set(rows.flatMap(partsOf).filter((oid) => oid !== 0 && !types.has(oid)));
  }
  return types;
}

function partsOf({ baseOid, elementOid, attributes }: TypeRow): number[] {
  return [baseOid, elementOid, ...attributes.map(({ oid }) => oid)];
}

function formOf(types: ReadonlyMap<number, TypeRow>, oid: number, dimensions: number): ValueForm {
  const type = types.get(oid);
  if (type === undefined) throw new Error(`there is no type ${oid}`);
  if (JSON_OIDS.has(oid)) return { kind: 'json' };
  if (VECTOR_OIDS.has(oid)) return { kind: 'vector' };
  if (type.kind === 'd') return formOf(types, type.baseOid, type.dimensions);
  if (type.elementOid !== 0) {
    const element = formOf(types, type.elementOid, 0);
    const isClear = element.kind === 'value' || element.kind === 'composite' || element.kind === 'hstore';
    const declared = isClear ? null : Math.max(1, dimensions);
    return { kind: 'array', element, delimiter: type.delimiter ?? ',', dimensions: declared };
  }
  if (type.kind === 'c') {
    const attributes = type.attributes.map(({ name, oid, dimensions }) => ({
      name,
      form: formOf(types, oid, dimensions),
    }));
    return { kind: 'composite', attributes };
  }
  return type.hasCast && type.name === 'hstore' ? { kind: 'hstore' } : { kind: 'value' };
}

function inputOf(types: ReadonlyMap<number, TypeRow>, oid: number): ValueInput {
  const type = types.get(oid);
  if (type === undefined) throw new Error(`there is no type ${oid}`);
  if (type.kind === 'd') {
    const base = inputOf(types, type.baseOid);
    return { ...base, after: `${base.after}::${type.sql}` };
  }
  const { inputFunction } = type;
  if (inputFunction === null) return { before: '', after: `::${type.sql}`, isBytea: oid === BYTEA_OID };
  const { name, rest } = inputFunction;
  return { before: `${name}(pg_catalog.textout(`, after: `)${rest})`, isBytea: false };
}

/** Whether a cast to JSON that somebody wrote makes this value, so that only he knows the way back. */
function isMadeByCast(types: ReadonlyMap<number, TypeRow>, oid: number): boolean {
  const type = types.get(oid);
  if (type === undefined) return false;
  if (type.kind === 'd') return isMadeByCast(types, type.baseOid);
  const parts = [type.elementOid, ...type.attributes.map((attribute) => attribute.oid)];
  if (type.elementOid !== 0 || type.kind === 'c') return parts.some((part) => part !== 0 && isMadeByCast(types, part));
  return type.hasCast && type.name !== 'hstore';
}

/** JSON does not tell the dimensions of an array from elements that are JSON arrays themselves. */
function describeDimensions(form: ValueForm): string | undefined {
  if (form.kind !== 'array' || form.dimensions === null) return undefined;
  const dimensions = form.dimensions === 1 ? 'one dimension' : `${form.dimensions} dimensions`;
  return `its elements may be arrays in JSON, so all values are taken to have ${dimensions}, as it is declared`;
}
