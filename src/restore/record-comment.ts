/**
 * The comment of a restore's record: what the record is, for people, and below it the foreign keys that are dropped until the
 * restore is done. A crash of the server empties the record, which is UNLOGGED, and leaves its comment.
 */

/** A foreign key of the target to itself that is dropped until the restore is done. */
export interface SetAside {
  name: string;
  /** As Postgres prints it, without NOT VALID; in the place of the table that it refers to, which is the target, stands nothing. */
  definition: { referring: string; referred: string };
  /** Whether all rows were known to meet it. */
  isValidated: boolean;
  /** Its comment; null without one. */
  comment: string | null;
}

/** More is none of ours. */
const MAX_KEYS = 1000;

const NAME = String.raw`(?:[a-z_][a-z0-9_]*|"(?:[^"\0]|"")+")`;
const COLUMN = `(?:PERIOD )?${NAME}`;
const COLUMNS = String.raw`\(${COLUMN}(?:, ${COLUMN}){0,31}\)`;
const ACTION = String.raw`(?:CASCADE|RESTRICT|SET NULL|SET DEFAULT)(?: ${COLUMNS})?`;
const REFERRING = `FOREIGN KEY ${COLUMNS}`;
const REFERRED = `${COLUMNS}(?: MATCH FULL)?(?: ON UPDATE ${ACTION})?(?: ON DELETE ${ACTION})?(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?`;
const DEFINITION = new RegExp(`^(${REFERRING}) REFERENCES (?:${NAME}\\.)?${NAME}(${REFERRED})( NOT VALID)?$`, 'u');
const [IS_REFERRING, IS_REFERRED] = [new RegExp(`^${REFERRING}$`, 'u'), new RegExp(`^${REFERRED}$`, 'u')];

/** Takes a definition that Postgres has printed apart; undefined for what is no such one. */
export function parseForeignKey(text: string): Pick<SetAside, 'definition' | 'isValidated'> | undefined {
  const [, referring, referred, notValid] = DEFINITION.exec(text) ?? [];
  if (referring === undefined || referred === undefined) return undefined;
  return { definition: { referring, referred }, isValidated: notValid === undefined };
}

/** `target` is quoted, with its schema. */
export function writeComment(target: string, aside: readonly SetAside[]): string {
  const about = `pgsluice restore records here what is in ${target}; it drops this table when all is there`;
  if (aside.length === 0) return about;
  return `${about}. Until then, these foreign keys of the table to itself are dropped:\n${JSON.stringify(aside)}`;
}

/** The foreign keys that a comment names; undefined when it was changed. They become parts of statements: only what is one is read. */
export function readComment(text: string | null): SetAside[] | undefined {
  const start = text?.indexOf('\n[') ?? -1;
  if (text === null || start < 0) return [];
  try {
    const read: unknown = JSON.parse(text.slice(start + 1));
    return Array.isArray(read) && read.length <= MAX_KEYS && read.every(isSetAside) ? read : undefined;
  } catch {
    return undefined;
  }
}

function isSetAside(value: unknown): value is SetAside {
  const { name, definition, isValidated, comment } = (value ?? {}) as Partial<Record<keyof SetAside, unknown>>;
  const { referring, referred } = (definition ?? {}) as Partial<Record<keyof SetAside['definition'], unknown>>;
  return (
    typeof name === 'string' &&
    typeof referring === 'string' &&
    IS_REFERRING.test(referring) &&
    typeof referred === 'string' &&
    IS_REFERRED.test(referred) &&
    typeof isValidated === 'boolean' &&
    (comment === null || typeof comment === 'string')
  );
}
