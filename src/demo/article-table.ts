import pg from 'pg';

/** Fills tables for the demo and the benchmarks, inside the server and without randomness. */

export interface ArticleTableOptions {
  rows: number;
  /** Qualified name, quoted where it needs quotes. Default `public.fetch_queue`. */
  table?: string;
  /** Called after each slice with the rows written so far. */
  onProgress?: (rowsDone: number) => void;
}

export interface NarrowTableOptions {
  rows: number;
  /** Default `public.readings`. */
  table?: string;
  onProgress?: (rowsDone: number) => void;
}

const SLICE_ROWS = 50_000;

/**
 * Creates and fills the table of the story behind this project: a queue of fetched pages, about 1 KB a row as JSON.
 * The same row number gives the same row on every machine. The client must not be inside a transaction.
 */
export async function createArticleTable(client: pg.Client, options: ArticleTableOptions): Promise<void> {
  const table = options.table ?? 'public.fetch_queue';
  await createAndFill(client, { ...options, table, columns: ARTICLE_COLUMNS, select: ARTICLE_SELECT });
}

/** Creates and fills a table of five number columns: the case in which the cost of a row, not of a byte, is what counts. */
export async function createNarrowTable(client: pg.Client, options: NarrowTableOptions): Promise<void> {
  const table = options.table ?? 'public.readings';
  await createAndFill(client, { ...options, table, columns: NARROW_COLUMNS, select: NARROW_SELECT });
}

interface Job {
  rows: number;
  table: string;
  columns: string;
  /** Takes the first and the last row number. */
  select: string;
  onProgress?: (rowsDone: number) => void;
}

async function createAndFill(client: pg.Client, job: Job): Promise<void> {
  // In the transaction that creates the table, `wal_level = minimal` writes no log; and an index is built faster
  // over rows than with them.
  await client.query('begin');
  try {
    await client.query(`create table ${job.table} (${job.columns})`);
    await insertSlices(client, job);
    await client.query(`alter table ${job.table} add primary key (id)`);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
  // Without the visibility map and statistics the first reader would pay for the writes.
  await client.query(`vacuum (analyze) ${job.table}`);
}

async function insertSlices(client: pg.Client, job: Job): Promise<void> {
  for (let first = 1; first <= job.rows; first += SLICE_ROWS) {
    const last = Math.min(first + SLICE_ROWS - 1, job.rows);
    await client.query(`insert into ${job.table} ${job.select}`, [first, last]);
    job.onProgress?.(last);
  }
}

const HOSTS = [
  'news.example.com',
  'blog.example.org',
  'www.example.net',
  'docs.example.com',
  'zeitung.example.de',
  'journal.example.fr',
  'status.example.io',
];

const SUBJECTS = [
  'The harbour',
  'A “quiet” server',
  "The editor's desk",
  'Der Fluß',
  'The night shift',
  '今日のニュース',
  'C:\\archive\\2026',
  'Le café "Chez Zoé"',
  'Ночной поезд',
  'The 🚀 launch',
];

const VERBS = [
  'moves north',
  'ran out of memory',
  'says "not today"',
  'is back in service',
  'öffnet früher',
  'gets a second opinion 🙂',
  'counts every row',
  'goes dark at 02:15',
  'costs 3\\4 of a euro',
];

const SENTENCES = [
  'The council met on Tuesday and put the decision off for another month.',
  'Nobody in the control room expected the pressure to fall so quickly.',
  'Two engineers drove out to the pumping station before dawn.',
  'Prices rose by a tenth over the summer, while wages stood still.',
  '"We measured it twice," she said, "and then we measured it again."',
  'The report runs to ninety pages, most of them tables.',
  'Residents of the old town have waited for a new bridge since the flood.',
  'Für die Anwohner ändert sich vorerst nichts, heißt es aus dem Rathaus.',
  'A spokesman declined to comment on the figures.',
  'By noon the queue reached around the corner and past the bakery.',
  'The museum keeps the original drawings in a room without windows.',
  "It's the third outage this year, and the longest by far.",
  'Rain is expected from the west towards the evening.',
  'Both sides agreed to publish the minutes of the talks.',
  'The machine was sold for scrap and bought back a week later.',
  'Le conseil a voté à l’unanimité, sauf une voix.',
  'What remains is a warehouse full of paper and a very patient archivist.',
  'The company did not answer letters, calls or e-mails.',
  'Trains ran every ten minutes until the signal box lost power.',
  'An older version of the path was C:\\data\\feeds\\incoming.',
  'Volunteers counted four hundred birds in the first hour alone.',
  'The court will hear the case again in the spring.',
  'Most readers never saw the correction on page eleven.',
  'Its author died before the second volume went to print.',
  'A new contract was signed behind closed doors.',
  'The valley is quiet in winter, apart from the snow ploughs.',
  'Experts disagree about the cause, and more so about the cure.',
  'The bakery opens at five; the coffee is ready at six.',
  'Every row was read, written and counted before the morning.',
  'The ferry will not sail while the wind blows from the north-east.',
  'Students painted the wall in a single weekend.',
  'In the end the vote was closer than anyone had thought possible.',
];

const NOTES = ['retry after redirect', 'robots.txt says "no"', 'slow\thost', 'paywall \\ soft', 'moved 🙃'];

const ARTICLE_COLUMNS = `
  id bigint,
  url text not null,
  title text,
  body text,
  headers jsonb,
  score numeric,
  price numeric(12,4),
  fetched_at timestamptz not null,
  created_at timestamptz not null,
  job uuid not null,
  attempts int not null,
  ok boolean,
  note text`;

const ADJECTIVES = 'quiet early broken second narrow public foreign steady former patient northern empty'.split(' ');
const NOUNS =
  'harbour engineer budget archive signal bridge witness cable garden minister engine library storm ticket'.split(' ');
const ACTIONS =
  'replaced ignored followed measured rejected delayed found questioned repaired sold crossed remembered'.split(' ');

/** `h` is 32 well-mixed bytes for each row; every choice below takes one of them. */
const ARTICLE_SELECT = `
  (id, url, title, body, headers, score, price, fetched_at, created_at, job, attempts, ok, note)
  select i,
    'https://' || ${pick(HOSTS, 0)} || '/articles/' || left(digest, 8) || '/' || i || '?page=' || get_byte(h, 1) % 9,
    ${pick(SUBJECTS, 2)} || ' ' || ${pick(VERBS, 3)},
    ${pick(SENTENCES, 4)} || ' ' || ${pick(SENTENCES, 5)} || E'\\n\\n' || ${pick(SENTENCES, 6)} || E'\\r\\n\\t'
      || ${clause(7)} || ' ' || ${pick(SENTENCES, 12)} || chr(1 + get_byte(h, 13) % 31) || ${clause(14)} || E'\\n'
      || ${clause(20)} || ' ' || ${pick(SENTENCES, 19)} || ' Case ' || substr(digest, 33, 8) || ': ' || i * 7919 % 99991 || ' pages.',
    jsonb_build_object('status', case when get_byte(h, 20) < 240 then 200 else 404 end, 'server', 'nginx/1.26.3',
      'etag', '"' || right(digest, 16) || '"', 'content-type', 'text/html; charset=utf-8',
      'content-length', get_byte(h, 21) * 331 + get_byte(h, 22), 'vary', '["accept-encoding", "cookie"]'::jsonb),
    (get_byte(h, 23) * 256 + get_byte(h, 24)) * 0.00001525878906,
    ((get_byte(h, 25) * 256 + get_byte(h, 26)) * 7 + i % 10000) * 0.0001,
    timestamptz '2026-08-01 00:00:00+00' + i * interval '17.318207 seconds',
    timestamptz '2026-07-31 21:00:00+00' + i * interval '17.3 seconds',
    left(digest, 32)::uuid,
    get_byte(h, 27) % 4,
    case get_byte(h, 28) % 10 when 0 then null when 1 then false else true end,
    case when get_byte(h, 29) < 32 then ${pick(NOTES, 30)} end
  from (
    -- The offset keeps the planner from computing the digest again at each use.
    select i, h, encode(h, 'hex') as digest
    from (select i, sha256(i::text::bytea) as h from generate_series($1::bigint, $2::bigint) as i offset 0) as d offset 0
  ) as mixed`;

const NARROW_COLUMNS = 'id bigint, a int, b bigint, c double precision, d numeric';

const NARROW_SELECT = `
  (id, a, b, c, d)
  select i, (i * 7919 % 100003)::int, i * 1000003, (i * 31 % 65536)::float8 / 256, (i * 13 % 1000000) * 0.01
  from generate_series($1::bigint, $2::bigint) as i`;

/** SQL for one of the texts, chosen by the byte of `h` at the offset. */
function pick(texts: readonly string[], offset: number): string {
  return `(array[${texts.map((text) => pg.escapeLiteral(text)).join(', ')}])[1 + get_byte(h, ${offset}) % ${texts.length}]`;
}

/** SQL for a short sentence of single words, which compresses as badly as prose does. */
function clause(offset: number): string {
  const subject = `${pick(ADJECTIVES, offset)} || ' ' || ${pick(NOUNS, offset + 1)}`;
  const object = `${pick(ADJECTIVES, offset + 3)} || ' ' || ${pick(NOUNS, offset + 4)}`;
  return `'The ' || ${subject} || ' ' || ${pick(ACTIONS, offset + 2)} || ' a ' || ${object} || '.'`;
}
