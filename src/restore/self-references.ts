/**
 * Foreign keys of the target to itself: on request they are dropped for the restore, and at its end added NOT VALID and
 * validated. Until then they stand in the comment of the record, so that whoever goes on with the restore puts them back.
 */
import { errorText, fail, type FailureError } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { restoreFailure } from '../segment/restore/errors.ts';
import type { ForeignKey } from './constraints.ts';
import { parseForeignKey, type SetAside } from './record-comment.ts';
import { Refusal } from './refusal.ts';
import type { Target } from './target.ts';

type Named = Pick<Target, 'oid' | 'name'>;

/** What stands against adding a constraint as it was: rights, a feature that this version lacks, what depends on it. */
const CANNOT = /^(?:0A|2B|42)/;

/**
 * Drops them, inside the open transaction. Each is dropped only after it was tried whether it comes back as it is now. Throws
 * Refusal where it does not.
 */
export async function setAside(client: Client, target: Named, foreignKeys: readonly ForeignKey[]): Promise<SetAside[]> {
  const aside: SetAside[] = [];
  for (const foreignKey of foreignKeys) {
    const parsed = foreignKey.isPlain ? parseForeignKey(foreignKey.definition) : undefined;
    if (parsed === undefined)
      throw cannot(target, foreignKey, 'it is inherited, or its triggers are not as it made them');
    const { name, comment } = foreignKey;
    const one = { name, comment, ...parsed };
    try {
      await client.query(dropping(target.name, name));
      await client.query(adding(target.name, one));
      const added = await findKey(client, target, name);
      if (added?.bare !== bare(foreignKey.definition))
        throw cannot(target, foreignKey, `it would be ${added?.bare ?? 'gone'}`);
      await client.query(dropping(target.name, name));
    } catch (error) {
      throw CANNOT.test(sqlStateOf(error)) ? cannot(target, foreignKey, errorText(error)) : error;
    }
    aside.push(one);
  }
  return aside;
}

/**
 * Adds those that are not there, then looks at all rows. Resolves to the failure to end with when rows refer to what is not
 * there: the keys are there then, and NOT VALID. May be done again from any point that it came to.
 */
export async function putBack(
  client: Client,
  target: Named,
  aside: readonly SetAside[],
): Promise<FailureError | undefined> {
  for (const one of aside) await addAgain(client, target, one);
  const broken: string[] = [];
  let first: FailureError | undefined;
  for (const { name } of aside.filter(({ isValidated }) => isValidated)) {
    if ((await findKey(client, target, name))?.isValidated === true) continue;
    try {
      await client.query(validating(target.name, name));
    } catch (error) {
      const failure = restoreFailure(error, `validating ${quoteIdentifier(name)} of ${target.name}`);
      if (sqlStateOf(error) !== '23503') throw failure;
      broken.push(name);
      first ??= failure;
    }
  }
  return first && refersToNothing(target, broken, first);
}

/** The statements by which an operator puts them back himself. */
export function byHand(target: string, aside: readonly SetAside[]): string[] {
  return aside.flatMap((one) => [adding(target, one), ...(one.isValidated ? [validating(target, one.name)] : [])]);
}

async function addAgain(client: Client, target: Named, one: SetAside): Promise<void> {
  if ((await findKey(client, target, one.name)) !== undefined) return;
  try {
    await client.query('BEGIN');
    await client.query(adding(target.name, one));
    if (one.comment !== null)
      await client.query(
        `COMMENT ON CONSTRAINT ${quoteIdentifier(one.name)} ON ${target.name} IS ${quoteLiteral(one.comment)}`,
      );
    await client.query('COMMIT');
  } catch (error) {
    throw restoreFailure(error, `adding the foreign key ${quoteIdentifier(one.name)} to ${target.name} again`);
  }
}

async function findKey(
  client: Client,
  { oid }: Named,
  name: string,
): Promise<{ bare: string; isValidated: boolean } | undefined> {
  const { rows } = await client.query<{ definition: string; isValidated: boolean }>(
    `SELECT pg_catalog.pg_get_constraintdef(oid) AS definition, convalidated AS "isValidated"
     FROM pg_catalog.pg_constraint
     WHERE conrelid OPERATOR(pg_catalog.=) $1 AND conname OPERATOR(pg_catalog.=) $2 AND contype OPERATOR(pg_catalog.=) 'f'`,
    [oid, name],
  );
  const [found] = rows;
  return found && { bare: bare(found.definition), isValidated: found.isValidated };
}

function bare(definition: string): string {
  return definition.replace(/ NOT VALID$/, '');
}

function dropping(target: string, name: string): string {
  return `ALTER TABLE ${target} DROP CONSTRAINT ${quoteIdentifier(name)}`;
}

function adding(target: string, { name, definition: { referring, referred } }: SetAside): string {
  return `ALTER TABLE ${target} ADD CONSTRAINT ${quoteIdentifier(name)} ${referring} REFERENCES ${target} ${referred} NOT VALID`;
}

function validating(target: string, name: string): string {
  return `ALTER TABLE ${target} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`;
}

function cannot({ name }: Named, foreignKey: ForeignKey, why: string): Refusal {
  return new Refusal([
    `--self-references later: the foreign key ${quoteIdentifier(foreignKey.name)} of ${name} could not be added again as it is: ${why}; drop it yourself, and after the restore add CONSTRAINT ${quoteIdentifier(foreignKey.name)} ${bare(foreignKey.definition)}`,
  ]);
}

function refersToNothing(target: Named, names: readonly string[], { failure }: FailureError): FailureError {
  const statements = names.map((name) => validating(target.name, name));
  return fail('constraint-violated', {
    stage: 'restore',
    message: `all rows were restored, and some of ${target.name} refer by ${names.map(quoteIdentifier).join(', ')} to rows that are not there; it was added NOT VALID, so that new rows are held to it`,
    hint: `Add those rows, or change the ones that refer to them; then ${statements.join('; ')}, which names one that is left.`,
    ...(failure.cause === undefined ? {} : { cause: failure.cause }),
  });
}
