/** Where `init` gets the source and the destination from: what was typed, the environment, or the person at the terminal. */
import { UsageError } from '../base/errors.ts';
import { parseLocation } from '../config/location.ts';
import type { TypedEnds } from '../config/typed.ts';
import { describePostgresUrlProblem, parsePostgresUrl } from '../postgres/url.ts';
import { askYes, type Questions } from './terminal/questions.ts';

export interface GivenEnds extends Partial<Omit<TypedEnds, 'source' | 'destination'>> {
  source?: string;
  to?: string;
}

export interface InitOptions {
  ends: GivenEnds;
  /** Where --config was given. */
  config?: string;
  output?: string;
  tables: readonly string[];
  force: boolean;
  writeEnvironment: boolean;
}

const EXAMPLE = 'pgsluice init --source URL --to s3://acme-archive/pg --region eu-west-1';
/** A typing error is corrected; nobody types ten. */
const MOST_TRIES = 10;

/** Without a terminal, what is missing is named. Throws UsageError. */
export async function findEnds(
  { source, to, ...s3 }: GivenEnds,
  environment: NodeJS.ProcessEnv,
  questions: Questions | undefined,
): Promise<TypedEnds> {
  const fromEnvironment = environment['DATABASE_URL'] === undefined ? undefined : '${DATABASE_URL}';
  const known = source ?? fromEnvironment;
  if (questions === undefined) {
    const missing = [
      ...(known === undefined ? ['--source URL (or $DATABASE_URL)'] : []),
      ...(to === undefined ? ['--to s3://bucket/prefix or file:///folder'] : []),
    ];
    if (missing.length > 0)
      throw new UsageError(
        `init needs ${missing.join(' and ')}, as there is no terminal to ask on; example: ${EXAMPLE}`,
      );
    return { source: known ?? '', destination: to ?? '', ...s3 };
  }
  const url = known ?? (await askForSource(questions, environment));
  if (to !== undefined) return { source: url, destination: to, ...s3 };
  return { source: url, ...s3, ...(await askForDestination(questions, environment, s3)) };
}

async function askForSource(questions: Questions, environment: NodeJS.ProcessEnv): Promise<string> {
  const question = 'Postgres URL, such as postgres://user@host:5432/database?sslmode=verify-full';
  const url = await askUntilGood(questions, question, describePostgresUrlProblem);
  const { user, password, host = environment['PGHOST'] ?? 'localhost' } = parsePostgresUrl(url);
  const isKnown = password !== undefined || environment['PGPASSWORD'] !== undefined;
  if (isKnown || host.startsWith('/')) return url;
  const typed = await questions.askHidden(
    `Password${user === undefined ? '' : ` of ${user}`} (not shown; empty for none)`,
  );
  return typed === '' ? url : withPassword(url, typed);
}

/** The user may stand in the query, and none at all in the URL. */
function withPassword(text: string, password: string): string {
  const url = URL.parse(text);
  if (url === null || url.username === '')
    return `${text}${text.includes('?') ? '&' : '?'}password=${encodeURIComponent(password)}`;
  url.password = encodeURIComponent(password);
  return url.href;
}

async function askForDestination(
  questions: Questions,
  environment: NodeJS.ProcessEnv,
  s3: Pick<TypedEnds, 'region' | 'endpoint' | 'forcePathStyle'>,
): Promise<Omit<TypedEnds, 'source'>> {
  const destination = await askUntilGood(questions, 'Where to, s3://bucket/prefix or file:///folder', (text) => {
    const location = parseLocation(text);
    return 'problem' in location ? location.problem : undefined;
  });
  if (!/^s3:/i.test(destination)) return { destination };
  const endpoint = s3.endpoint ?? (await questions.ask('Endpoint, of an S3-compatible server', 'AWS'));
  const isAws = endpoint === 'AWS';
  const usual = environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  const region = s3.region ?? (await questions.ask('Region of the bucket', usual));
  const isPathStyle =
    !isAws &&
    (s3.forcePathStyle ?? (await askYes(questions, 'Does the bucket go into the path, as with MinIO?', 'Y/n')));
  return {
    destination,
    region,
    ...(isAws ? {} : { endpoint }),
    ...(isPathStyle ? { forcePathStyle: true } : {}),
  };
}

async function askUntilGood(
  questions: Questions,
  question: string,
  describeProblem: (text: string) => string | undefined,
): Promise<string> {
  let problem: string | undefined;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const answer = await questions.ask(problem === undefined ? question : `It ${problem}. ${question}`);
    problem = answer === '' ? 'must not be empty' : describeProblem(answer);
    if (problem === undefined) return answer;
  }
  throw new UsageError(`${question}: it ${problem ?? 'must be given'}`);
}
