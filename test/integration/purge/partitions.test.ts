/** Purges by partitions: what is refused first, with nothing touched; then late rows, blockers, and what goes. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { purgeCommand } from '../../../src/commands/purge.ts';
import { runCommand } from '../../../src/commands/run.ts';
import { FailureError } from '../../../src/base/errors.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { PurgeRecord } from '../../../src/ledger/purge.ts';
import { purgeSourceOf, type PurgedArchive } from '../../../src/purge/due.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { describeRelation } from '../../../src/postgres/relation.ts';
import { findPartition } from '../../../src/purge/partition/find.ts';
import { detachConcurrently } from '../../../src/purge/partition/remove.ts';
import { purgeDue, type PassEnding } from '../../../src/purge/purge-due.ts';
import { purgeRun } from '../../../src/purge/purge-run.ts';
import type { PartitionPatience, PurgeContext, PurgeResult } from '../../../src/purge/request.ts';
import type { RunResult } from '../../../src/run/run-archive.ts';
import { openKnownRuns } from '../../../src/windows/known-runs.ts';
import { eventually } from '../../support/cli.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { connect } from '../../support/postgres.ts';
import { recordTo } from '../../support/record-log.ts';
import { putObject } from '../../support/segments.ts';
import { openSite, PREFIX, type Site } from '../../support/site.ts';

const JANUARY = '20260101T000000Z';
const FEBRUARY = '20260201T000000Z';
const NOTHING = { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };
const IMPATIENT: PartitionPatience = { detachMs: 300, shortMs: 100, tries: 2 };

let site: Site;

before(async () => {
  site = await openSite();
});

async function sql(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

/** Two partitions of 300 rows, one of the current month, and what is asked for besides. */
async function createTable(name: string, besides = ''): Promise<void> {
  await sql(`CREATE TABLE ${name} (id int NOT NULL, at timestamptz NOT NULL, v text) PARTITION BY RANGE (at);
    CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
    CREATE TABLE ${name}_2 PARTITION OF ${name} FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z');
    CREATE TABLE ${name}_9 PARTITION OF ${name} FOR VALUES FROM ('2026-03-01Z') TO (MAXVALUE); ${besides};
    INSERT INTO ${name} SELECT i, timestamptz '2026-01-01Z' + i * interval '1 hour', md5(i::text) || 'é' FROM generate_series(0, 299) AS i;
    INSERT INTO ${name} SELECT i, timestamptz '2026-02-01Z' + i * interval '1 hour', md5(i::text) FROM generate_series(300, 599) AS i`);
}

async function configure(name: string, purge: object = {}, parts: object = {}): Promise<string> {
  const window = { column: 'at', every: 'partition', from: '2026-01-01' };
  const archive = { table: name, window, purge: { after: '7d', then: 'drop', ...purge } };
  return site.writeConfig({ log: { level: 'silent' }, archives: { [name]: archive }, ...parts });
}

/** Archives the partition of January, and that of February where it is asked for; resolves to the config. */
async function archive(name: string, purge: object = {}, parts: object = {}, runs = [JANUARY]): Promise<string> {
  const config = await configure(name, purge, parts);
  for (const run of runs) {
    const { result } = await runInProcess(site, config, name, run);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
  }
  return config;
}

interface Purged {
  code: number;
  result: PurgeResult;
  codes: string[];
}

async function purge(config: string, name: string, options: object = {}, run = JANUARY): Promise<Purged> {
  const { code, stdout } = await commandInProcess(site, config, (invocation) =>
    purgeCommand(invocation, name, { runs: [run], execute: true, yes: false, ...options }),
  );
  const [result] = JSON.parse(stdout) as PurgeResult[];
  assert.ok(result !== undefined);
  return { code, result, codes: codesOf(result) };
}

function codesOf({ problems, error }: PurgeResult): string[] {
  return [
    ...new Set([...problems.map(({ code }) => code as string), ...(error === undefined ? [] : [error.code])]),
  ].sort();
}

/** The same, with what only tests set. */
async function purgeWith(config: string, name: string, changes: Partial<PurgeContext> = {}, run = JANUARY) {
  const loaded = loadConfig(config, site.environment);
  const archived = loaded.archives[name] as PurgedArchive;
  const context = { config: loaded, log: recordTo([]), signal: new AbortController().signal, patience: IMPATIENT };
  const source = purgeSourceOf(loaded, archived);
  const request = { archive: archived, run, byAge: false, source, execute: true };
  const result = await purgeRun({ ...context, ...changes }, request);
  return { result, codes: codesOf(result) };
}

async function recordOf(name: string, run = JANUARY): Promise<PurgeRecord | undefined> {
  const file = await site.stored(`${PREFIX}${name}/run=${run}/_purge.json`);
  return file && (JSON.parse(file.body.toString()) as PurgeRecord);
}

/** Rows that the table shows, and how its first partition stands. */
async function standing(name: string): Promise<[rows: number, state: string]> {
  const [count] = await sql(`SELECT count(*)::int AS n FROM ${name}`);
  const [state] = await sql(`SELECT to_regclass('${name}_1') IS NULL AS gone, EXISTS (
    SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass('${name}_1')) AS attached, EXISTS (SELECT FROM pg_inherits i
    WHERE i.inhrelid = to_regclass('${name}_1') AND to_jsonb(i) ->> 'inhdetachpending' = 'true') AS pending`);
  const word =
    state?.['gone'] === true
      ? 'gone'
      : state?.['pending'] === true
        ? 'pending'
        : state?.['attached'] === true
          ? 'attached'
          : 'detached';
  return [Number(count?.['n']), word];
}

describe('what is refused, with nothing touched', () => {
  test('all reasons at once, each with what helps', async () => {
    await createTable('refused', 'CREATE TABLE refused_3 (id int NOT NULL, at timestamptz NOT NULL, v text)');
    await sql(`CREATE UNIQUE INDEX ON refused (id, at); CREATE VIEW on_january AS SELECT * FROM refused_1;
      CREATE VIEW on_all AS SELECT * FROM refused; CREATE TABLE typed (row refused_1);
      CREATE TABLE children (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES refused (id, at));
      INSERT INTO children SELECT id, at FROM refused WHERE id = 7`);
    const config = await archive('refused');
    const reading = await connect(`${site.database.url}?application_name=pgsluice%20other%20on%20host:1`);
    try {
      await reading.query('BEGIN; SELECT FROM refused LIMIT 1');
      const dry = await purge(config, 'refused', { execute: false });
      const { code, result, codes } = await purge(config, 'refused');
      assert.equal(code, 2);
      assert.deepEqual(codes, ['partition-blocked', 'partition-depended-on', 'partition-referenced']);
      assert.deepEqual(dry.codes, codes);
      const messages = result.problems.map(({ message }) => message).join('\n');
      for (const said of ['view on_january', 'column row of table typed', 'children', 'pgsluice other on host:1'])
        assert.ok(messages.includes(said), messages);
      assert.ok(!messages.includes('on_all'), messages);
      assert.ok(result.problems.every(({ hint }) => hint !== ''));
    } finally {
      await reading.end();
    }
    await sql('DROP TABLE typed; ALTER TABLE refused ADD COLUMN added int DEFAULT 7');
    assert.ok((await purge(config, 'refused')).codes.includes('purge-columns-changed'));
    assert.deepEqual([await standing('refused'), await recordOf('refused')], [[600, 'attached'], undefined]);
  });

  test('a role that is no member of the owner; with that role granted, nothing more is needed', async () => {
    await createTable('owned');
    const [owner, role] = [`owner_${process.pid}`, `dropper_${process.pid}`];
    await sql(`CREATE ROLE ${owner}; CREATE ROLE ${role} LOGIN PASSWORD 'secret' NOSUPERUSER; GRANT SELECT ON owned, owned_1 TO ${role};
      GRANT CREATE, USAGE ON SCHEMA public TO ${owner};
      ALTER TABLE owned OWNER TO ${owner}; ALTER TABLE owned_1 OWNER TO ${owner}`);
    try {
      const url = new URL(site.database.url);
      url.username = role;
      url.password = 'secret';
      const sources = { default: { url: '${DATABASE_URL}' }, dropper: { url: url.href } };
      const config = await archive('owned', { source: 'dropper' }, { sources });
      const refused = await purge(config, 'owned');
      assert.deepEqual([refused.code, refused.codes], [2, ['purge-permission']]);
      assert.deepEqual([await standing('owned'), await recordOf('owned')], [[600, 'attached'], undefined]);
      const hints = new Set(refused.result.problems.map(({ hint }) => hint));
      assert.deepEqual([...hints], [`GRANT "${owner}" TO "${role}";`]);
      await sql([...hints].join(';'));
      const { result, codes } = await purge(config, 'owned');
      assert.deepEqual([result.status, codes, await standing('owned')], ['purged', [], [300, 'gone']]);
    } finally {
      await sql(`DROP TABLE owned; DROP OWNED BY ${owner}, ${role}; DROP ROLE ${owner}, ${role}`);
    }
  });

  for (const which of [1, 2])
    test(`a partition that somebody else has half detached: ${which === 1 ? 'that of the run' : 'another one'}`, async () => {
      const name = `halved_${which}`;
      await createTable(name);
      const config = await archive(name);
      const holder = await connect(site.database.url);
      await holder.query(`BEGIN; SELECT FROM ${name} LIMIT 1`);
      await assert.rejects(
        site.database.client
          .query(`SET lock_timeout = '50ms'`)
          .then(() => sql(`ALTER TABLE ${name} DETACH PARTITION ${name}_${which} CONCURRENTLY`)),
        /lock timeout/,
      );
      await sql('RESET lock_timeout');
      await holder.end();
      const { code, codes, result } = await purge(config, name);
      assert.deepEqual([code, codes], [2, ['partition-pending']]);
      assert.ok(result.problems.some(({ hint }) => hint.includes(`DETACH PARTITION public.${name}_${which} FINALIZE`)));
      const [row] =
        await sql(`SELECT count(*)::int AS n FROM pg_inherits i WHERE to_jsonb(i) ->> 'inhdetachpending' = 'true'
        AND inhrelid = '${name}_${which}'::regclass`);
      assert.deepEqual([row?.['n'], await recordOf(name)], [1, undefined]);
    });

  test('a transaction that is older than 10 s', async () => {
    await createTable('busy');
    const config = await archive('busy');
    const holder = await connect(`${site.database.url}?application_name=reports`);
    await holder.query('BEGIN; SELECT FROM busy LIMIT 1');
    await eventually(
      'it is older than 10 s',
      async () =>
        (
          await sql(
            `SELECT FROM pg_stat_activity WHERE application_name = 'reports' AND xact_start < clock_timestamp() - interval '10 s'`,
          )
        ).length === 1,
    );
    const { code, codes, result } = await purge(config, 'busy');
    assert.deepEqual([code, codes], [2, ['partition-blocked']]);
    assert.match(result.problems[0]?.message ?? '', /pid \d+ \(reports, postgres, since 20/);
    await holder.end();
    assert.deepEqual([await standing('busy'), await recordOf('busy')], [[600, 'attached'], undefined]);
  });

  test('an object that is damaged: nothing is touched, exit 3', async () => {
    await createTable('damaged');
    const config = await archive('damaged');
    const [object] = (await site.manifest('damaged', JANUARY))!.objects;
    const body = Buffer.from((await site.stored(object!.key))!.body);
    body.writeUInt8(body.readUInt8(body.length - 12) ^ 1, body.length - 12);
    await putObject(site, object!.key, body);
    const { code, result } = await purge(config, 'damaged');
    assert.deepEqual(
      [code, result.status, await standing('damaged'), await recordOf('damaged')],
      [3, 'different', [600, 'attached'], undefined],
    );
  });
});

describe('rows that the run does not hold', () => {
  for (const [what, statement, said] of [
    ['came late', `INSERT INTO changed VALUES (9999, '2026-01-15Z', 'late')`, /it has 301 rows, the run has 300/],
    ['were changed', `UPDATE changed SET v = 'other' WHERE id = 7`, /not all are those of the run/],
    [
      'were replaced',
      `DELETE FROM changed WHERE id = 7; INSERT INTO changed VALUES (9999, '2026-01-15Z', 'x')`,
      /not all are those/,
    ],
  ] as const)
    test(`${what}: the partition stays as it is, and is never tried again for this run`, async () => {
      await sql('DROP TABLE IF EXISTS changed');
      for (const key of await site.keys('changed'))
        await (await import('../../support/segments.ts')).removeObject(site, key);
      await createTable('changed');
      const config = await archive('changed');
      await sql(statement);
      const before = await standing('changed');
      const dry = await purge(config, 'changed', { execute: false });
      assert.deepEqual([dry.code, dry.codes, await recordOf('changed')], [2, ['partition-changed'], undefined]);
      const { code, codes, result } = await purge(config, 'changed');
      assert.deepEqual([code, codes], [2, ['partition-changed']]);
      assert.match(result.problems[0]?.message ?? '', said);
      assert.deepEqual(await standing('changed'), before);
      const record = await recordOf('changed');
      assert.deepEqual(
        [record?.state, record?.partition?.state, record?.totals],
        ['done', 'attached', { ...NOTHING, changed: 300 }],
      );
      assert.deepEqual((await purge(config, 'changed')).codes, ['partition-changed']);
    });

  test('hold what a line does not tell', async () => {
    await createTable('untold', 'ALTER TABLE untold ADD COLUMN j jsonb');
    await sql(`UPDATE untold SET j = 'null' WHERE id = 5`);
    const config = await archive('untold');
    const { code, codes } = await purge(config, 'untold');
    assert.deepEqual([code, codes, await standing('untold')], [2, ['partition-inexact'], [600, 'attached']]);
  });

  test('by a purge of all that is there now, with --again', async () => {
    await createTable('mended');
    const config = await archive('mended');
    await sql(`INSERT INTO mended VALUES (9999, '2026-01-15Z', 'late')`);
    assert.deepEqual((await purge(config, 'mended')).codes, ['partition-changed']);
    await sql('DELETE FROM mended WHERE id = 9999');
    const { code, result } = await purge(config, 'mended', { again: true });
    assert.deepEqual([code, result.totals, await standing('mended')], [0, { ...NOTHING, deleted: 300 }, [300, 'gone']]);
  });
});

describe('somebody comes in between', () => {
  test('and does not go: it is half detached, he is named, and the next purge ends it', async () => {
    await createTable('pending');
    const config = await archive('pending');
    const holder = await connect(`${site.database.url}?application_name=reports`);
    await holder.query('BEGIN; SELECT FROM pending LIMIT 1');
    const { result, codes } = await purgeWith(config, 'pending');
    assert.deepEqual(
      [result.status, codes, result.partition],
      ['failed', ['partition-blocked'], { name: 'public.pending_1', state: 'half detached' }],
    );
    assert.match(result.error?.message ?? '', /half detached, and nobody sees its rows: .*pid \d+ \(reports/);
    assert.deepEqual(
      [await standing('pending'), (await recordOf('pending'))?.partition?.state],
      [[300, 'pending'], 'intended'],
    );
    await holder.end();
    // A record that is of another database by now, where that OID may be of another partition: nothing is finished there.
    const key = `${PREFIX}pending/run=${JANUARY}/_manifest.json`;
    const { body } = (await site.stored(key))!;
    const manifest = JSON.parse(body.toString()) as { source: object };
    const source = { ...manifest.source, systemIdentifier: '1' };
    await putObject(site, key, Buffer.from(JSON.stringify({ ...manifest, source })));
    assert.deepEqual((await purge(config, 'pending')).codes, ['purge-wrong-source']);
    assert.deepEqual(await standing('pending'), [300, 'pending']);
    await putObject(site, key, body);
    const again = await purge(config, 'pending');
    assert.deepEqual(
      [again.code, again.result.totals, await standing('pending')],
      [0, { ...NOTHING, deleted: 300 }, [300, 'gone']],
    );
  });

  test('and writes into it by its name: it is a partition again, with his row, and no CHECK is left', async () => {
    await createTable('direct', `ALTER TABLE direct_1 ADD CONSTRAINT own CHECK (id >= 0)`);
    const config = await archive('direct');
    const holder = await connect(site.database.url);
    await holder.query('BEGIN; SELECT FROM direct LIMIT 1');
    assert.deepEqual((await purgeWith(config, 'direct')).codes, ['partition-blocked']);
    await sql(`INSERT INTO direct_1 VALUES (9999, '2026-01-15Z', 'late')`);
    await holder.end();
    const { code, codes, result } = await purge(config, 'direct');
    assert.deepEqual([code, codes, result.partition?.state], [2, ['partition-changed'], 'attached']);
    assert.deepEqual(await standing('direct'), [601, 'attached']);
    assert.deepEqual(
      await sql(`SELECT conname FROM pg_constraint WHERE conrelid = 'direct_1'::regclass AND contype = 'c'`),
      [{ conname: 'own' }],
    );
    assert.deepEqual((await recordOf('direct'))?.totals, { ...NOTHING, changed: 300 });
  });

  test('and swaps the names of two partitions right before the detach: the other one is a partition again', async () => {
    await createTable('swapped');
    await archive('swapped');
    const client = await connectPostgres({ url: site.database.url, applicationName: 'pgsluice purge swapped' });
    try {
      const { oid } = await describeRelation(client, 'swapped');
      const bound = (await site.manifest('swapped', JANUARY))!.partition!.bound;
      const own = (await findPartition(client, oid, bound, undefined)).own!;
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      const swapping = async (text: unknown, ...rest: unknown[]): Promise<unknown> => {
        if (String(text).includes('CONCURRENTLY'))
          await sql(`BEGIN; ALTER TABLE swapped_1 RENAME TO aside; ALTER TABLE swapped_2 RENAME TO swapped_1;
            ALTER TABLE aside RENAME TO swapped_2; COMMIT`);
        return query(text, ...rest);
      };
      const removal = {
        client: { query: swapping } as unknown as typeof client,
        ...{ table: { schema: 'public', name: 'swapped', oid }, partition: own, bound },
        ...{ window: { from: '', to: '' }, then: 'drop' as const, checks: [], patience: IMPATIENT },
        ...{ requireSame: async () => undefined, onStep: () => undefined, checkpoint: () => undefined },
      };
      await assert.rejects(
        detachConcurrently(removal),
        (error) => error instanceof FailureError && error.failure.code === 'purge-table-changed',
      );
      assert.deepEqual(await standing('swapped'), [600, 'attached']);
      assert.deepEqual(
        await sql(
          `SELECT count(*)::int AS n FROM pg_constraint WHERE conrelid = 'swapped_1'::regclass AND contype = 'c'`,
        ),
        [{ n: 0 }],
      );
    } finally {
      await endConnection(client);
    }
  });

  test('and the archive is damaged by then: the partition is attached again', async () => {
    await createTable('bitten');
    const config = await archive('bitten');
    const holder = await connect(site.database.url);
    await holder.query('BEGIN; SELECT FROM bitten LIMIT 1');
    assert.deepEqual((await purgeWith(config, 'bitten')).codes, ['partition-blocked']);
    await holder.end();
    const [object] = (await site.manifest('bitten', JANUARY))!.objects;
    await putObject(site, object!.key, Buffer.from('nothing'));
    const { code, result } = await purge(config, 'bitten');
    assert.deepEqual([code, result.status, await standing('bitten')], [3, 'different', [600, 'attached']]);
  });

  test('beside a default partition: a late row that is committed while the partition is waited for is found', async () => {
    await createTable('late', 'CREATE TABLE late_d PARTITION OF late DEFAULT');
    const config = await archive('late');
    const writer = await connect(site.database.url);
    await writer.query(`BEGIN; INSERT INTO late VALUES (9999, '2026-01-15Z', 'late')`);
    const purging = purge(config, 'late');
    await eventually('the purge waits for the partition', () => waits('late_1'));
    await writer.query('COMMIT');
    await writer.end();
    const { code, codes } = await purging;
    assert.deepEqual([code, codes, await standing('late')], [2, ['partition-changed'], [601, 'attached']]);
    assert.deepEqual(await sql('SELECT FROM late_d'), []);
  });

  test('beside a default partition: a column that is added and filled while the partition is waited for is found', async () => {
    await createTable('widened', 'CREATE TABLE widened_d PARTITION OF widened DEFAULT');
    const config = await archive('widened');
    const writer = await connect(site.database.url);
    await writer.query('BEGIN; LOCK TABLE widened_1 IN ROW EXCLUSIVE MODE');
    const purging = purge(config, 'widened');
    await eventually('the purge waits for the partition', () => waits('widened_1'));
    await writer.query(`ALTER TABLE widened ADD COLUMN note text; UPDATE widened SET note = 'not archived'; COMMIT`);
    await writer.end();
    const { code, codes } = await purging;
    assert.deepEqual([code, codes, await standing('widened')], [2, ['purge-columns-changed'], [600, 'attached']]);
  });

  test('beside a default partition: a late row that waits for the partition is let in first', async () => {
    await createTable('later', 'CREATE TABLE later_d PARTITION OF later DEFAULT');
    const config = await archive('later');
    const reader = await connect(site.database.url);
    await reader.query('BEGIN; SELECT FROM ONLY later');
    const purging = purgeWith(config, 'later', { patience: { detachMs: 5000, shortMs: 100, tries: 300 } });
    await eventually('the partition is locked, and its table waited for', () => waits('later'));
    const writer = await connect(site.database.url);
    await writer.query(`INSERT INTO later VALUES (9999, '2026-01-15Z', 'late')`);
    await Promise.all([writer.end(), reader.end()]);
    const { result, codes } = await purging;
    assert.deepEqual(
      [result.status, codes, await standing('later')],
      ['refused', ['partition-changed'], [601, 'attached']],
    );
    assert.deepEqual(await sql('SELECT FROM later_d'), []);
  });
});

async function waits(relation: string): Promise<boolean> {
  const rows = await sql(`SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND l.relation = '${relation}'::regclass AND a.application_name LIKE 'pgsluice purge %'`);
  return rows.length > 0;
}

describe('what goes', () => {
  test('is dropped, once; a partition that is made anew in its place stays', async () => {
    await createTable('whole');
    const config = await archive('whole');
    const dry = await purge(config, 'whole', { execute: false });
    assert.deepEqual(
      [dry.code, dry.result.totals, dry.result.partition],
      [0, { ...NOTHING, deleted: 300 }, { name: 'public.whole_1', state: 'attached' }],
    );
    assert.deepEqual([await standing('whole'), await recordOf('whole')], [[600, 'attached'], undefined]);
    const { code, result } = await purge(config, 'whole');
    assert.deepEqual(
      [code, result.totals, result.partition?.state, await standing('whole')],
      [0, { ...NOTHING, deleted: 300 }, 'dropped', [300, 'gone']],
    );
    const record = await recordOf('whole');
    assert.deepEqual([record?.state, record?.partition?.state, record?.totals.deleted], ['done', 'dropped', 300]);
    await sql(`CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
      INSERT INTO whole SELECT i, timestamptz '2026-01-01Z' + i * interval '1 hour', md5(i::text) || 'é' FROM generate_series(0, 299) AS i`);
    assert.deepEqual(
      [(await purge(config, 'whole')).codes, await standing('whole')],
      [['purge-done'], [600, 'attached']],
    );
  });

  test('is detached, and stays as a table of its own', async () => {
    await createTable('kept');
    const config = await archive('kept', { then: 'detach' });
    const { code, result } = await purge(config, 'kept');
    assert.deepEqual(
      [code, result.totals, result.partition, await standing('kept')],
      [0, { ...NOTHING, deleted: 300 }, { name: 'public.kept_1', state: 'detached' }, [300, 'detached']],
    );
    assert.deepEqual(
      [await sql('SELECT count(*)::int AS n FROM kept_1'), (await recordOf('kept'))?.partition?.name],
      [[{ n: 300 }], 'public.kept_1'],
    );
  });

  test('beside a default partition', async () => {
    for (const then of ['drop', 'detach']) {
      const name = `beside_${then}`;
      await createTable(name, `CREATE TABLE ${name}_d PARTITION OF ${name} DEFAULT`);
      const config = await archive(name, { then });
      const { code, result } = await purge(config, name);
      assert.deepEqual(
        [code, result.totals.deleted, await standing(name)],
        [0, 300, [300, then === 'drop' ? 'gone' : 'detached']],
      );
    }
  });

  test('has partitions of its own, columns in another order, and was made anew with equal rows since', async () => {
    await createTable('nested');
    await sql(`ALTER TABLE nested DETACH PARTITION nested_1; DROP TABLE nested_1;
      CREATE TABLE nested_1 (v text, at timestamptz NOT NULL, id int NOT NULL) PARTITION BY LIST (v);
      CREATE TABLE nested_1a PARTITION OF nested_1 FOR VALUES IN ('a'); CREATE TABLE nested_1d PARTITION OF nested_1 DEFAULT;
      ALTER TABLE nested ATTACH PARTITION nested_1 FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
      INSERT INTO nested SELECT i, timestamptz '2026-01-01Z' + i * interval '1 hour', CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 299) AS i`);
    const config = await archive('nested');
    await sql(`ALTER TABLE nested DETACH PARTITION nested_1; ALTER TABLE nested_1 RENAME TO nested_old;
      CREATE TABLE nested_1 (id int NOT NULL, v text, at timestamptz NOT NULL) PARTITION BY LIST (v);
      CREATE TABLE nested_1n PARTITION OF nested_1 DEFAULT; INSERT INTO nested_1 SELECT id, v, at FROM nested_old;
      ALTER TABLE nested ATTACH PARTITION nested_1 FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z')`);
    const { code, result } = await purge(config, 'nested');
    assert.deepEqual([code, result.totals.deleted, await standing('nested')], [0, 300, [300, 'gone']]);
    assert.deepEqual(await sql(`SELECT count(*)::int AS n, to_regclass('nested_1n') AS leaf FROM nested_old`), [
      { n: 300, leaf: null },
    ]);
  });

  test('was dropped by somebody else', async () => {
    await createTable('dropped');
    const config = await archive('dropped');
    await sql('DROP TABLE dropped_1');
    const { code, result } = await purge(config, 'dropped');
    assert.deepEqual([code, result.totals, result.partition?.state], [0, { ...NOTHING, absent: 300 }, 'gone']);
    assert.deepEqual((await recordOf('dropped'))?.partition?.state, 'gone');
  });
});

describe('the daemon', () => {
  async function age(name: string, run: string): Promise<void> {
    const manifest = (await site.manifest(name, run))!;
    const finishedAt = new Date(Date.now() - 8 * 86_400_000).toISOString();
    await putObject(
      site,
      `${PREFIX}${name}/run=${run}/_manifest.json`,
      Buffer.from(JSON.stringify({ ...manifest, finishedAt })),
    );
  }

  async function pass(name: string, config: string): Promise<{ results: string[]; ending: PassEnding }> {
    const loaded = loadConfig(config, site.environment);
    const archived = loaded.archives[name] as PurgedArchive;
    const memory = { done: new Map(), differentAtMs: new Map() };
    const options = { config: loaded, log: recordTo([]), signal: new AbortController().signal, memory };
    const results: string[] = [];
    const ending = await purgeDue({ ...options, known: openKnownRuns(loaded, archived) }, archived, {
      end: (result) =>
        results.push([result.run, result.status, ...codesOf(result), result.stoppedBy].filter(Boolean).join(' ')),
    });
    return { results, ending };
  }

  test('drops what is due; what came late is archived as a further run, and goes with that one', async () => {
    const name = 'daily';
    await createTable(name);
    const config = await archive(name, {}, {}, [JANUARY, FEBRUARY]);
    assert.deepEqual((await pass(name, config)).results, []);
    for (const run of [JANUARY, FEBRUARY]) await age(name, run);
    await sql(`INSERT INTO daily VALUES (9999, '2026-02-15Z', 'late')`);
    const reader = await connect(`${site.database.url}?application_name=pgsluice%20other%20on%20host:1`);
    await reader.query('BEGIN; SELECT FROM daily LIMIT 1');
    assert.deepEqual((await pass(name, config)).results, [`${JANUARY} stopped run-in-progress`]);
    await reader.end();
    assert.deepEqual((await pass(name, config)).results, [
      `${JANUARY} purged`,
      `${FEBRUARY} refused partition-changed`,
    ]);
    assert.deepEqual((await pass(name, config)).results, []);
    const { stdout } = await commandInProcess(site, config, (invocation) =>
      runCommand(invocation, [name], { all: false }),
    );
    const made = (JSON.parse(stdout) as RunResult[]).map(({ run, status, rows }) => `${run} ${status} ${rows}`);
    assert.deepEqual(made, [`${FEBRUARY}_2 committed 301`]);
    await age(name, `${FEBRUARY}_2`);
    assert.deepEqual((await pass(name, config)).results, [`${FEBRUARY}_2 purged`]);
    assert.deepEqual(await sql(`SELECT count(*)::int AS n, to_regclass('daily_2') AS two FROM daily`), [
      { n: 0, two: null },
    ]);
  });

  test('goes on with what was begun before all else, and looks again soon where somebody is in the way', async () => {
    const name = 'begun';
    await createTable(name);
    const config = await archive(name, {}, {}, [JANUARY, FEBRUARY]);
    for (const run of [JANUARY, FEBRUARY]) await age(name, run);
    const holder = await connect(site.database.url);
    await holder.query('BEGIN; SELECT FROM begun LIMIT 1');
    assert.deepEqual((await purgeWith(config, name, {}, FEBRUARY)).codes, ['partition-blocked']);
    await holder.end();
    assert.deepEqual((await pass(name, config)).results, [`${FEBRUARY} purged`, `${JANUARY} purged`]);
  });
});
