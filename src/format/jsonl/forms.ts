/** How a column's JSON becomes the text that its type's input function takes; plain data, as it crosses the thread boundary. */

export type ValueForm =
  /** A string is decoded; a number, true, false, and what a cast of the user's own made, stand as they are. */
  | { kind: 'value' }
  /** json and jsonb: the text stands as it is. In a column that was NOT NULL, a null is the JSON value. */
  | { kind: 'json'; notNull?: true }
  | {
      kind: 'array';
      element: ValueForm;
      delimiter: string;
      /** How deep the JSON arrays are dimensions; null for as deep as they go, as no element is a JSON array itself. */
      dimensions: number | null;
    }
  /** int2vector and oidvector, whose elements stand between blanks. */
  | { kind: 'vector' }
  /** The extension's own cast makes an object of it. */
  | { kind: 'hstore' }
  | { kind: 'composite'; attributes: readonly { name: string; form: ValueForm }[] };

/** A column of the archive, in the order of the lines. */
export interface RestoreColumn {
  name: string;
  /** Absent for a column that the target computes itself: its value is passed over. */
  form?: ValueForm;
  /** There with `form`. */
  input?: ValueInput;
}

/** The SQL around a text, or of bytea the bytes, that makes it a value of the target's type as COPY would; a length and the like come after. */
export interface ValueInput {
  before: string;
  after: string;
  /** Whether it is bytea, or a domain over it. */
  isBytea: boolean;
}
