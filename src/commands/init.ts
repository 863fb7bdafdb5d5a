/** `pgsluice init`: looks at a database, and writes a first config. */
import { UsageError } from '../base/errors.ts';
import { registerSecret } from '../base/secrets.ts';
import { NEVER } from '../base/signals.ts';
import { formatBytes } from '../base/units.ts';
import { sourceNamed } from '../config/resolve.ts';
import { secretValues } from '../config/secrets.ts';
import { loadTyped, type TypedEnds } from '../config/typed.ts';
import { configText } from '../init/config-text.ts';
import { missingVariables, variableOf } from '../init/environment.ts';
import { look, nameOf, type FoundTable, type Look } from '../init/look.ts';
import { suggest, type Suggestion } from '../init/suggest.ts';
import { lookWithin, LOOK_LIMIT_MS } from '../run/look-within.ts';
import { EXIT } from './entry.ts';
import { findEnds, type InitOptions } from './init-ends.ts';
import {
  environmentOf,
  mayReplace,
  mayWriteEnvironment,
  outputOf,
  stateOf,
  variablesOf,
  writeConfig,
  writeEnvironment,
  writtenSource,
} from './init-files.ts';
import { tell } from './init-report.ts';
import type { Invocation } from './invocation.ts';
import { openProgressBar } from './terminal/bar.ts';
import { formatGrid } from './terminal/grid.ts';
import { printJson, printLines } from './terminal/print.ts';
import { NoAnswerError, openQuestions, type Questions } from './terminal/questions.ts';

/** So many tables are in a config that a person still reads; others by their names. */
const MOST_TABLES = 20;
const MOST_NAMED = 200;
/** A typing error is corrected; nobody types ten. */
const MOST_TRIES = 10;

export async function initCommand(
  invocation: Invocation,
  options: InitOptions,
  ask: () => Questions | undefined = () => questionsOf(invocation),
): Promise<number> {
  const questions = ask();
  try {
    return await init(invocation, options, questions);
  } catch (error) {
    if (error instanceof NoAnswerError) return EXIT.interrupted;
    throw error;
  } finally {
    questions?.close();
  }
}

async function init(invocation: Invocation, options: InitOptions, questions: Questions | undefined): Promise<number> {
  if (options.tables.length > MOST_NAMED) throw new UsageError(`--table: at most ${MOST_NAMED} tables at once`);
  const output = outputOf(invocation, options);
  const replace = await mayReplace(output, options.force, questions);
  const { environment, file: environmentFile, variables: known } = environmentOf(invocation, output);
  // Who has said all at once wants no further question.
  const wasAsked =
    questions !== undefined &&
    !(options.ends.to !== undefined && (options.ends.source ?? environment['DATABASE_URL']) !== undefined);
  const ends = await findEnds(options.ends, environment, questions);
  const url = resolveSource(ends, environment);
  const found = await lookWithin(LOOK_LIMIT_MS, { url }, (client) => look(client, options.tables, MOST_TABLES));
  const chosen = wasAsked && options.tables.length === 0 ? await chooseTables(found, questions) : found.tables;
  const bar = openProgressBar(invocation.stderr, NEVER);
  const suggestion = await suggest(ends, chosen, environment, (part, what) => {
    bar.update({ title: 'look', part, figures: [what] });
  }).finally(bar.close);
  const problems = problemsOf(suggestion, ends, options.tables.length > 0);
  if (problems.length > 0) return refuse(invocation, problems);

  const written = writtenSource(ends.source);
  const lines = {
    look: { ...found, others: found.others + found.tables.length - chosen.length },
    ends: { ...ends, source: written },
    environmentFile: variableOf(written) === undefined ? undefined : environmentFile,
    suggestion,
    stateFolder: stateOf(output),
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
  const variables = variablesOf(written, url, ends, environment);
  const lacking = missingVariables(known, variables);
  const isWritten = await mayWriteEnvironment(options, lacking, environmentFile, questions);
  const proof = { ...environment, ...Object.fromEntries(variables.map(({ name, value }) => [name, value])) };
  writeConfig(invocation, output, configText(lines), { replace, environment: proof });
  if (isWritten) writeEnvironment(environmentFile, known, [...lacking.absent, ...lacking.other]);
  tell(invocation, { output, found, chosen, suggestion, ends, environmentFile, lacking, isWritten });
  return EXIT.done;
}

function questionsOf({ json, stderr }: Invocation): Questions | undefined {
  return process.stdin.isTTY && stderr.isTTY && !json ? openQuestions(process.stdin, stderr) : undefined;
}

/** The URL itself. Throws UsageError for bad ends. */
function resolveSource(ends: TypedEnds, environment: NodeJS.ProcessEnv): string {
  const config = loadTyped({ ends, archives: { any: { table: 'any' } } }, environment);
  const { url = '' } = sourceNamed(config, 'default') ?? {};
  // The URL itself is told, but for its password: it is to be written into a file.
  for (const secret of secretValues(config)) if (secret !== url) registerSecret(secret);
  return url;
}

async function chooseTables({ tables }: Look, questions: Questions): Promise<readonly FoundTable[]> {
  const rows = tables.map((table, index) => [String(index + 1), nameOf(table), formatBytes(table.bytes)]);
  questions.show(formatGrid(['', 'table', 'size'], rows, [0, 2]));
  let question = 'Which of them, by their numbers with commas';
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const answer = await questions.ask(question, 'all');
    if (/^all$/i.test(answer)) return tables;
    const numbers = answer.split(/[\s,]+/).filter((text) => text !== '');
    const stray = numbers.find((text) => tables[Number(text) - 1] === undefined);
    // One that is passed over would be a table that is not archived.
    if (stray === undefined) return tables.filter((_, index) => numbers.some((text) => Number(text) === index + 1));
    question = `${stray} is no number of a table. Which of them, such as 1,3`;
  }
  throw new UsageError('which tables: no number of one');
}

interface Problem {
  subject: string;
  message: string;
  hint: string | undefined;
}

/** What keeps a config from being written. */
function problemsOf(
  { findings, archives, refused }: Suggestion,
  { destination }: TypedEnds,
  isNamed: boolean,
): Problem[] {
  const ends = findings
    .filter(({ level }) => level === 'error')
    .map(({ subject, message, hint }) => ({
      subject: subject.startsWith('destinations.') ? destination : 'the database',
      ...{ message, hint },
    }));
  if (ends.length > 0) return ends;
  const isNothing = archives.length === 0 || isNamed;
  return isNothing ? refused.map(({ tableName, why, hint }) => ({ subject: tableName, message: why, hint })) : [];
}

function refuse(invocation: Invocation, problems: readonly Problem[]): number {
  if (invocation.json) printJson(invocation, { ok: false, problems });
  else
    printLines(
      invocation,
      [
        ...problems.flatMap(({ subject, message, hint }) => [
          `${subject}: ${message}`,
          ...(hint === undefined ? [] : [`  hint   ${hint}`]),
        ]),
        'nothing was written',
      ],
      invocation.stderr,
    );
  return EXIT.failed;
}
