/** Restores with kills, deletes, truncations and a crash of the server between: the table equals the archive, or the command says why not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { restoreCommand, type RestoreOptions } from '../../src/commands/restore.ts';
import type { RestoreResult } from '../../src/restore/request.ts';
import { openYard, type Yard } from '../integration/restore/support.ts';
import { type CliProcess, eventually, startCli } from '../support/cli.ts';
import { commandOfFile } from '../support/in-process.ts';
import { connect, testDatabase } from '../support/postgres.ts';
import { openRandom } from '../support/random.ts';

/** How many targets are filled, more by `.ci/run`; the server crashes under the last but one. */
const ROUNDS = Number(process.env['PGSLUICE_TEST_ROUNDS'] ?? 2);
/** Of some 3 kB. */
const ROWS = 3_000;

const random = openRandom();
const counts = {
  rounds: 0,
  trees: 0,
  kills: 0,
  crashes: 0,
  deletes: 0,
  truncations: 0,
  equal: 0,
  refused: 0,
  gone: 0,
  anew: 0,
};

let server: EmbeddedPostgres;
let url: string;
let yards: Yard[];

before(async () => {
  server = await startPostgres();
  const database = await testDatabase(undefined, { serverUrl: server.url });
  ({ url } = database);
  await database.client.query(
    `CREATE TABLE original (id int PRIMARY KEY, pad text, up int); ALTER TABLE original ALTER pad SET STORAGE EXTERNAL;
     INSERT INTO original SELECT i, string_agg(md5((i * 1000 + j)::text), ''), i % ${ROWS} + 1
     FROM generate_series(1, ${ROWS}) AS i, generate_series(1, 100) AS j GROUP BY i; ANALYZE original`,
  );
  yards = await Promise.all(
    ['key', 'pages'].map(async (by) => {
      const yard = await openYard(database);
      const { objects } = await yard.archive({ table: 'original', segments: { by, targetSize: '600KiB' } });
      assert.ok(objects >= 12, `${objects} objects by ${by}`);
      return yard;
    }),
  );
});
after(() => server.stop());

/** SQL that makes a target of that kind; nothing where the restore makes it. */
const TARGETS = {
  made: '',
  plain: 'CREATE TABLE target (LIKE original INCLUDING ALL)',
  tree: 'CREATE TABLE target (LIKE original INCLUDING ALL, CONSTRAINT up FOREIGN KEY (up) REFERENCES target)',
  unlogged: 'CREATE UNLOGGED TABLE target (LIKE original INCLUDING ALL)',
  partitioned: `CREATE TABLE target (LIKE original INCLUDING ALL) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF target FOR VALUES FROM (MINVALUE) TO (${ROWS / 3});
    CREATE UNLOGGED TABLE middle PARTITION OF target FOR VALUES FROM (${ROWS / 3}) TO (${ROWS / 2});
    CREATE TABLE high PARTITION OF target DEFAULT`,
};
type Kind = keyof typeof TARGETS;

/** What a restore into one is asked for besides. */
const OPTIONS: Partial<Record<Kind, Partial<RestoreOptions>>> = {
  made: { create: true },
  tree: { selfReferences: 'later' },
};

/** What somebody does to the target while no restore goes on. Rows of an application have ids below 0. */
const HARMS: Record<string, (client: Client, kind: Kind) => Promise<void>> = {
  nothing: () => Promise.resolve(),
  'nothing but time': () => Promise.resolve(),
  delete: async (client) => {
    counts.deletes += 1;
    const least = random.integer(5, 500);
    await client.query(`DELETE FROM target WHERE id IN (SELECT id FROM target ORDER BY id % 97 LIMIT ${least})`);
  },
  truncate: async (client) => {
    counts.truncations += 1;
    await client.query('TRUNCATE target');
  },
  'truncate and write': async (client) => {
    counts.truncations += 1;
    await client.query(`TRUNCATE target; INSERT INTO target VALUES (${-random.integer(1, 1e9)}, 'of the application')`);
  },
  'truncate a partition': async (client, kind) => {
    if (kind !== 'partitioned') return;
    counts.truncations += 1;
    await client.query(`TRUNCATE ${random.pick(['low', 'middle', 'high'])}`);
  },
};

class Round {
  readonly kind: Kind;
  readonly yard: Yard;
  readonly withCrash: boolean;
  #client: Client;

  constructor(client: Client, withCrash: boolean) {
    this.#client = client;
    this.withCrash = withCrash;
    this.kind = random.pick(Object.keys(TARGETS) as Kind[]);
    this.yard = random.pick(yards);
  }

  start(): CliProcess {
    const { create = false, selfReferences = 'refuse' } = OPTIONS[this.kind] ?? {};
    const options = [...(create ? ['--create'] : []), '--self-references', selfReferences];
    const into = ['--into', 'public.target', '--config', this.yard.configFile];
    return startCli(['restore', 'it', '--json', ...into, ...options]);
  }

  /** To its end, in this process; waits for the server to notice that the one before is gone, and its lock with it. */
  async finish(changes: Partial<RestoreOptions> = {}): Promise<RestoreResult> {
    return eventually('the restore comes to its end', async () => {
      const { stdout } = await commandOfFile(this.yard.configFile, {}, (invocation) =>
        restoreCommand(invocation, 'it', {
          ...{ into: 'public.target', create: false, onConflict: 'fail', selfReferences: 'refuse' },
          ...OPTIONS[this.kind],
          ...changes,
        }),
      );
      const result = JSON.parse(stdout) as RestoreResult;
      return result.error?.code === 'locked' ? false : result;
    });
  }

  async breakOff(): Promise<void> {
    const cli = this.start();
    await cli.waitForLog('restore starts');
    await this.#waitForObjects(cli, random.integer(0, 8));
    await sleep(random.integer(0, 20));
    if (this.withCrash && counts.crashes === 0) await this.#crash();
    else counts.kills += 1;
    cli.kill('SIGKILL');
    await cli.ended();
    await eventually('the server has let go', async () => {
      const { rowCount } = await this.#client.query(
        "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pgsluice restore%'",
      );
      return rowCount === 0;
    });
  }

  /** Or for the end of the process, whichever comes first. */
  async #waitForObjects(cli: CliProcess, wanted: number): Promise<void> {
    let hasEnded = false;
    void cli.ended().then(() => {
      hasEnded = true;
    });
    await eventually('some objects are in', async () => {
      const record = await this.#ask(
        "(SELECT oid::regclass::text FROM pg_class WHERE relname ~ '^pgsluice_restore_[0-9]+$')",
      );
      if (hasEnded) return true;
      if (typeof record !== 'string') return false;
      const done = await this.#ask(`(SELECT count(*) FROM ${record} WHERE object <> '')`);
      return Number(done) >= wanted;
    });
  }

  async #crash(): Promise<void> {
    counts.crashes += 1;
    server.kill();
    await server.restart();
    this.#client = await connect(url);
  }

  async harm(): Promise<string> {
    const isThere = await this.#ask("to_regclass('target') IS NOT NULL");
    const [name, harm] = random.pick(Object.entries(HARMS));
    // With its key there, which its end has added already, rows are not so easily robbed.
    if (isThere !== true || (await this.#hasKey())) return 'nothing';
    await harm(this.#client, this.kind);
    return name;
  }

  async open(): Promise<void> {
    await this.#client.query(TARGETS[this.kind]);
  }

  /** It may have come to its end just before it was killed: then there is no record, and nothing more to do. */
  async isOver(): Promise<boolean> {
    const hasRecord = await this.#ask("EXISTS (SELECT FROM pg_class WHERE relname LIKE 'pgsluice_restore%')");
    const isThere = await this.#ask("to_regclass('target') IS NOT NULL");
    return hasRecord !== true && isThere === true && (await this.#ask('EXISTS (TABLE target)')) === true;
  }

  async assertEqual(what: string): Promise<void> {
    const { rows } = await this.#client.query(
      `SELECT (SELECT count(*)::int FROM target WHERE id > 0) AS rows,
         (SELECT count(*)::int FROM (TABLE original EXCEPT ALL TABLE target) AS x) AS missing`,
    );
    assert.deepEqual(rows, [{ rows: ROWS, missing: 0 }], `${what}, seed ${random.seed}`);
    assert.equal(
      await this.#hasKey(' AND convalidated'),
      this.kind === 'tree',
      `the key, ${what}, seed ${random.seed}`,
    );
    counts.equal += 1;
  }

  async #hasKey(condition = ''): Promise<boolean> {
    return (await this.#ask(`EXISTS (SELECT FROM pg_constraint WHERE conname = 'up'${condition})`)) === true;
  }

  /** Does what the refusal says. */
  async remedy(said: string, dropped: readonly string[] = []): Promise<void> {
    counts.anew += 1;
    const add = /before its record is dropped, put back what is missing, .*?: ([^;]*);/.exec(said)?.[1] ?? dropped[0];
    if (add !== undefined && !(await this.#hasKey())) await this.#client.query(add);
    const record = /DROP TABLE ("public"\."pgsluice_restore_\d+")/.exec(said)?.[1];
    if (record !== undefined) await this.#client.query(`DROP TABLE ${record}`);
    const skips = random.integer(0, 1) === 1;
    if (!skips) await this.#client.query('TRUNCATE target');
    const { status, problems, error } = await this.finish({ create: false, ...(skips ? { onConflict: 'skip' } : {}) });
    assert.equal(status, 'restored', `${problems.join('; ')} ${JSON.stringify(error)}, seed ${random.seed}`);
    // What was put back by hand was not looked at yet, and comes back as it was.
    if (add !== undefined) await this.#client.query('ALTER TABLE target VALIDATE CONSTRAINT up');
  }

  async close(): Promise<void> {
    const { rows } = await this.#client.query("SELECT FROM pg_class WHERE relname LIKE 'pgsluice_restore%'");
    assert.equal(rows.length, 0, `a record is left, seed ${random.seed}`);
    await this.#client.query('DROP TABLE target');
    await this.#client.end();
  }

  async #ask(expression: string): Promise<unknown> {
    const { rows } = await this.#client.query(`SELECT ${expression} AS answer`);
    return (rows[0] as { answer: unknown }).answer;
  }
}

/** The figures, or what a crash leaves in place of them. */
const SAYS_WHY =
  /holds [\d,]+ (?:of the [\d,]+ rows?|rows?, and [\d,]+ or more)|a crash of the server emptied its record/;

test(
  'restores that are killed, robbed of rows and crashed under are whole at the end, or say with figures why not',
  { timeout: 60_000 + ROUNDS * 30_000 },
  async (t) => {
    for (let number = 1; number <= ROUNDS; number += 1) {
      counts.rounds += 1;
      const round = new Round(await connect(url), number === Math.max(1, ROUNDS - 1));
      await round.open();
      if (round.kind === 'tree') counts.trees += 1;
      const story: string[] = [round.kind];
      let isOver = false;
      for (let breaks = random.integer(1, 2); breaks > 0 && !isOver; breaks -= 1) {
        await round.breakOff();
        isOver = await round.isOver();
        if (!isOver) story.push(await round.harm());
      }
      if (isOver) {
        counts.gone += 1;
        if (!round.withCrash || round.kind === 'made' || round.kind === 'plain')
          await round.assertEqual(story.join(', '));
      } else {
        const { status, problems, error, dropped } = await round.finish();
        if (status !== 'restored') {
          counts.refused += 1;
          const said = [...problems, error?.message, error?.hint].join(' ');
          assert.match(said, SAYS_WHY, `${story.join(', ')}, seed ${random.seed}`);
          await round.remedy(said, dropped);
        }
        await round.assertEqual(story.join(', '));
      }
      await round.close();
    }
    t.diagnostic(`seed ${random.seed}: ${JSON.stringify(counts)}`);
  },
);
