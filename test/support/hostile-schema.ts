import type { Client } from 'pg';

/**
 * A schema that has a double of everything in pg_catalog that a statement can name: functions, operators, types and
 * relations. All of them raise an error. Whoever has the schema in front of pg_catalog on the search path finds out at once
 * what a statement leaves to that path.
 */
export async function createHostileSchema(client: Client): Promise<void> {
  await client.query(DOUBLES);
}

/** For the URL of whoever is to find the doubles first. */
export function searchingIn(url: string, ...schemas: string[]): string {
  const changed = new URL(url);
  changed.searchParams.set('options', `-c search_path=${schemas.join(',')}`);
  return changed.href;
}

/** How often the server has called a double; an error of one may have been swallowed. */
export async function callsOfDoubles(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ log: string }>(
    `SELECT pg_read_file(current_setting('data_directory') || '/../server.log') AS log`,
  );
  const { rows: names } = await client.query<{ name: string }>('SELECT current_database() AS name');
  const called = new RegExp(`hijacked in ${names[0]?.name ?? ''}: .*`, 'g');
  return [...(rows[0]?.log ?? '').matchAll(called)].map(([text]) => text);
}

/** Pseudo-types such as internal cannot be given to such a function: what takes them is left out. */
const DOUBLES = String.raw`
CREATE SCHEMA hostile;
DO $do$
DECLARE
  body text := format($b$BEGIN RAISE EXCEPTION 'hijacked in %s: %%s'; END$b$, current_database());
  item record;
BEGIN
  EXECUTE format('CREATE FUNCTION hostile.refuse() RETURNS bool LANGUAGE plpgsql AS %L', format(body, 'a type or a relation'));
  FOR item IN
    SELECT p.oid, p.oid::regprocedure::text AS called, quote_ident(p.proname) AS name,
      (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, n)) AS types,
      CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END || format_type(p.prorettype, NULL) AS result
    FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prorettype <> 'trigger'::regtype
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION hostile.%s(%s) RETURNS %s LANGUAGE plpgsql AS %L',
        item.name, item.types, item.result, format(body, item.called));
    EXCEPTION WHEN others THEN NULL;
    END;
  END LOOP;
  FOR item IN
    SELECT o.oid, o.oid::regoperator::text AS called, o.oprname AS name, format_type(o.oprresult, NULL) AS result,
      concat_ws(', ', format_type(nullif(o.oprleft, 0), NULL), format_type(nullif(o.oprright, 0), NULL)) AS types,
      concat_ws(', ', 'LEFTARG = ' || format_type(nullif(o.oprleft, 0), NULL),
        'RIGHTARG = ' || format_type(nullif(o.oprright, 0), NULL)) AS arguments
    FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION hostile.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L',
        item.oid, item.types, item.result, format(body, item.called));
      EXECUTE format('CREATE OPERATOR hostile.%s (%s, FUNCTION = hostile.operator_%s)', item.name, item.arguments, item.oid);
    EXCEPTION WHEN others THEN NULL;
    END;
  END LOOP;
  FOR item IN
    SELECT quote_ident(c.relname) AS name FROM pg_class c
    WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
  LOOP
    BEGIN
      EXECUTE format('CREATE VIEW hostile.%1$s AS SELECT *, hostile.refuse() AS refused FROM pg_catalog.%1$s', item.name);
    EXCEPTION WHEN others THEN
      EXECUTE format('CREATE VIEW hostile.%1$s AS SELECT hostile.refuse() AS refused', item.name);
    END;
  END LOOP;
  FOR item IN
    SELECT quote_ident(t.typname) AS name FROM pg_type t
    WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
  LOOP
    EXECUTE format('CREATE DOMAIN hostile.%1$s AS pg_catalog.%1$s CHECK (hostile.refuse())', item.name);
  END LOOP;
END $do$`;
