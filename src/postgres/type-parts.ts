/** What a type is made of, for statements that look below composites, arrays and domains. */

/**
 * A subquery `part(oid)` of the types that those of `pg_type t` are made of: what is below a domain, the elements of an array,
 * the attributes of a composite.
 */
export const TYPE_PARTS_SQL = `(
    SELECT t.typbasetype AS oid WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
    UNION ALL
    SELECT t.typelem WHERE t.typelem OPERATOR(pg_catalog.<>) 0 AND t.typlen OPERATOR(pg_catalog.=) -1
    UNION ALL
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE t.typtype OPERATOR(pg_catalog.=) 'c' AND a.attrelid OPERATOR(pg_catalog.=) t.typrelid
      AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
  ) AS part`;
