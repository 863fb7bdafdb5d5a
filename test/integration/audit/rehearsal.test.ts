/** Rehearsals against a real server: what is never touched first, then what comes back, and what a kill leaves. */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import type pg from 'pg';
import { commentOf, dropScratchTable, scratchName } from '../../../src/audit/rehearsal/scratch-table.ts';
import { rehearsalPass, type PassParts } from '../../../src/audit/rehearsal/rehearsal-pass.ts';
import type { RehearsalOutcome, RehearsalStep } from '../../../src/audit/rehearsal/rehearse-run.ts';
import { connectPostgres, endConnection, type Client } from '../../../src/postgres/connect.ts';
import { readRehearsals, type Rehearsals } from '../../../src/ledger/rehearsals.ts';
import type { Pace } from '../../../src/pace/pace.ts';
import { openFileStore } from '../../../src/store/file/file.ts';
import type { Place } from '../../../src/work/place.ts';
import { eventually } from '../../support/cli.ts';
import { testDatabase, withDatabase, type TestDatabase } from '../../support/postgres.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { openYard, type Yard } from '../restore/support.ts';

const SCHEMA = 'pgsluice_rehearsal';
let source: TestDatabase;
let scratch: TestDatabase;

before(async () => {
  source = await testDatabase();
  scratch = await testDatabase();
  await scratch.client.query(`CREATE SCHEMA ${SCHEMA}`);
  await source.client.query(
    `CREATE TABLE events (id bigint PRIMARY KEY, body text, at timestamptz, tags text[], doc jsonb);
     INSERT INTO events SELECT i, 'body "' || i || E'"\\n', '2024-01-01'::timestamptz + i * interval '1 s', ARRAY[i::text, NULL], jsonb_build_object('i', i)
     FROM generate_series(1, 300) AS i`,
  );
});

interface Options {
  audit?: Partial<PassParts['audit']>;
  random?: () => number;
  slot?: Date | null;
  free?: number;
  signal?: AbortSignal;
  onStep?: PassParts['onStep'];
  config?: (config: PassParts['generation']['config']) => PassParts['generation']['config'];
  place?: (own: Place) => Place;
  onBegin?: (pace: Pace) => void;
}

interface Seen {
  outcomes: RehearsalOutcome[];
  begun: { run: string; objects: number; objectsOfRun: number }[];
  unknown: string[];
  log: LogLine[];
}

async function pass(yard: Yard, options: Options = {}): Promise<Seen> {
  const seen: Seen = { outcomes: [], begun: [], unknown: [], log: [] };
  const {
    audit,
    random = Math.random,
    slot = new Date(),
    free,
    signal = new AbortController().signal,
    onStep,
  } = options;
  const { place: own } = yard.context();
  const place = options.place?.(own) ?? own;
  const sources = { ...yard.config.sources, scratch: { name: 'scratch', url: scratch.url } };
  const base = { ...yard.config, sources };
  const config = options.config?.(base) ?? base;
  await rehearsalPass({
    generation: { number: yard.bind(config), config, place },
    audit: { schedule: '* * * * *', source: 'scratch', schema: SCHEMA, atMostBytes: 1e9, allowSource: false, ...audit },
    ...{ log: recordTo(seen.log), signal, mayRehearse: () => true, random },
    slot: slot ?? undefined,
    ...(free === undefined ? {} : { findFreeBytes: async () => free }),
    ...(onStep && { onStep }),
    hooks: {
      found: () => undefined,
      unknown: (_archive, failure) => seen.unknown.push(failure.code),
      begin: (begun, pace) => {
        seen.begun.push(begun);
        options.onBegin?.(pace);
      },
      progress: () => undefined,
      end: (_archive, _run, outcome) => seen.outcomes.push(outcome),
    },
  });
  return seen;
}

/** All tables of the scratch database that could be ours. */
async function tables(client: pg.Client = scratch.client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relname LIKE 'pgsluice\\_re%' AND relkind IN ('r', 'v') ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

async function rehearsals(yard: Yard) {
  return readRehearsals(openFileStore(path.join(yard.folder, 'store')), 'it');
}

function failureOf(outcome: RehearsalOutcome | undefined): { code: string; message: string } {
  if (outcome === undefined || !('failure' in outcome)) assert.fail(JSON.stringify(outcome));
  return outcome.failure;
}

describe('a table that is not ours', () => {
  const table = { archive: 'it', run: '20260101T000000Z', nonce: '0123456789abcdef'.repeat(2), schema: SCHEMA };
  const name = `${SCHEMA}.${scratchName(table)}`;

  async function withSession(t: TestContext): Promise<Client> {
    const client = await connectPostgres({ url: scratch.url, applicationName: 'test' });
    t.after(() => endConnection(client));
    return client;
  }

  test('is not dropped without our comment, with that of another run or nonce, or when it is a view', async (t) => {
    const client = await withSession(t);
    const comments = [
      null,
      'mine',
      commentOf({ ...table, run: '20260102T000000Z' }),
      commentOf({ ...table, nonce: 'f'.repeat(32) }),
      `${commentOf(table)} `,
    ];
    for (const comment of comments) {
      await scratch.client.query(`CREATE TABLE ${name} (i int)`);
      if (comment !== null) await scratch.client.query(`COMMENT ON TABLE ${name} IS '${comment}'`);
      assert.equal(await dropScratchTable(client, table), 'foreign');
      assert.deepEqual(await tables(), [scratchName(table)]);
      await scratch.client.query(`DROP TABLE ${name}`);
    }
    await scratch.client.query(`CREATE VIEW ${name} AS SELECT 1; COMMENT ON VIEW ${name} IS '${commentOf(table)}'`);
    assert.equal(await dropScratchTable(client, table), 'foreign');
    await scratch.client.query(`DROP VIEW ${name}`);
    assert.equal(await dropScratchTable(client, table), 'gone');
  });

  test('that hangs on one of ours keeps it from going', async (t) => {
    const client = await withSession(t);
    await scratch.client.query(
      `CREATE TABLE ${name} (i int); COMMENT ON TABLE ${name} IS '${commentOf(table)}'; CREATE VIEW kept AS SELECT * FROM ${name}`,
    );
    await assert.rejects(dropScratchTable(client, table), (error: Error & { failure?: { code: string } }) => {
      return error.failure?.code === 'rehearsal-leftover';
    });
    assert.deepEqual(await tables(), [scratchName(table)]);
    await scratch.client.query('DROP VIEW kept');
    assert.equal(await dropScratchTable(client, table), 'dropped');
  });
});

describe('a rehearsal', () => {
  test('is refused in the database of a source, in one that nobody can tell from it, and where there is no room', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    const own = await pass(yard, { audit: { source: 'default' } });
    assert.equal(failureOf(own.outcomes[0]).code, 'rehearsal-refused');
    assert.match(failureOf(own.outcomes[0]).message, /it is the database \S+ of source default/);
    const gone = await pass(yard, {
      config: (config) => ({
        ...config,
        archives: { ...config.archives, other: { ...config.archives['it']!, name: 'other', source: 'gone' } },
        sources: { ...config.sources, gone: { name: 'gone', url: 'postgres://127.0.0.1:1/gone' } },
      }),
    });
    assert.match(failureOf(gone.outcomes[0]).message, /nobody can tell whether it is the database of source gone/);
    const full = await pass(yard, { free: 1000 });
    assert.match(failureOf(full.outcomes[0]).message, /its disk has 1000 B free/);
    const large = await pass(yard, { audit: { atMostBytes: 100 } });
    assert.match(failureOf(large.outcomes[0]).message, /raise audits.rehearse.atMost/);
    for (const { outcomes } of [own, gone, full, large])
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['refused'],
      );
    assert.deepEqual([await tables(), await tables(source.client)], [[], []]);
    assert.deepEqual(await rehearsals(yard), { attempts: [], results: [] });
  });

  test('brings a run back as it was archived, leaves nothing, and notes it', async (t) => {
    const yard = await openYard(source, t);
    const { run } = await yard.archive({ table: 'events', segments: { by: 'key', targetSize: '8KiB' } });
    const { outcomes, begun } = await pass(yard);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['equal'],
      JSON.stringify(outcomes),
    );
    assert.ok((begun[0]?.objects ?? 0) > 1);
    const { attempts, results } = await rehearsals(yard);
    assert.deepEqual([attempts, results.length, results[0]?.run, results[0]?.rows], [[], 1, run, 300]);
    assert.deepEqual(results[0]?.substitutes, []);
    assert.deepEqual(await tables(), []);
    assert.deepEqual((await pass(yard, { slot: new Date(0) })).outcomes, [], 'another host has rehearsed for the slot');
    const some = await pass(yard, { audit: { atMostBytes: 10_000 }, random: () => 0.99 });
    assert.deepEqual(
      some.outcomes.map(({ status }) => status),
      ['equal'],
      JSON.stringify(some.outcomes),
    );
    assert.ok((some.begun[0]?.objects ?? 0) < (some.begun[0]?.objectsOfRun ?? 0));
    const own = await pass(yard, { audit: { source: 'default', schema: 'made_here', allowSource: true } });
    assert.deepEqual(
      own.outcomes.map(({ status }) => status),
      ['equal'],
      JSON.stringify(own.outcomes),
    );
    assert.deepEqual(await tables(source.client), []);
  });

  test('reads objects no faster than the pace of the archive grants, and begins when that lets it', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    const paced =
      (pace: object): NonNullable<Options['config']> =>
      (config) => {
        const [it] = Object.values(config.archives);
        return { ...config, archives: { it: { ...it!, pace } } };
      };
    const asked: number[] = [];
    let pieceBytes: number | undefined;
    const place = (own: Place): Place => ({
      load: own.load,
      close: () => Promise.resolve(),
      run: (task, signal, hooks) => {
        if (task.kind === 'restore-object') ({ pieceBytes } = task);
        const grant = (bytes: number, ended: AbortSignal): Promise<void> => {
          asked.push(bytes);
          return hooks.grant?.(bytes, ended) ?? Promise.reject(new Error('there is no pace'));
        };
        return own.run(task, signal, { ...hooks, grant });
      },
    });
    const { outcomes } = await pass(yard, { config: paced({ bytesPerSecond: 400_000 }), place });
    assert.equal(outcomes[0]?.status, 'equal', JSON.stringify(outcomes));
    const { jsonBytes } = (await rehearsals(yard)).results[0]!;
    assert.equal(
      asked.reduce((sum, bytes) => sum + bytes, 0),
      jsonBytes,
    );
    assert.equal(pieceBytes, 100_000);
    const hour = (ahead: number): string => new Date(Date.now() + ahead * 3_600_000).toISOString().slice(11, 16);
    const stop = new AbortController();
    const held = await pass(yard, {
      config: paced({ between: `${hour(2)}-${hour(3)}` }),
      signal: stop.signal,
      onBegin: (pace) => {
        // It asks for its turn right after this.
        setImmediate(() => {
          assert.equal(pace.pauses.current?.reason, 'between');
          stop.abort(new Error('stop'));
        });
      },
    });
    assert.deepEqual([held.outcomes, held.begun.length, await tables()], [[{ status: 'stopped' }], 1, []]);
    assert.deepEqual((await rehearsals(yard)).attempts, []);
  });

  test('is left alone by a host that rehearses in another schema of the same database', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    await scratch.client.query('CREATE SCHEMA another');
    let other: Seen | undefined;
    const own = await pass(yard, {
      onStep: async (step) => {
        if (step === 'restored') other = await pass(yard, { audit: { schema: 'another' }, slot: null });
      },
    });
    assert.deepEqual([own.outcomes[0]?.status, other?.outcomes], ['equal', []], JSON.stringify(own.outcomes));
    assert.deepEqual(await tables(), []);
  });

  test('gives columns whose types the database lacks others that print the same, and names them', async (t) => {
    const own = await testDatabase(t);
    await own.client.query(
      `CREATE ROLE test_of_typed; CREATE TYPE mood AS ENUM ('a', 'b c'); CREATE DOMAIN age AS int; CREATE TYPE pair AS (x int, y text);
       CREATE DOMAIN day AS date; CREATE EXTENSION IF NOT EXISTS hstore;
       CREATE TABLE typed (m mood, id age PRIMARY KEY, p pair, ms mood[], d day, h hstore, n numeric(6,2), o regclass, os regrole[], c money);
       INSERT INTO typed VALUES ('b c', 1, '(1,"a\\"b")', '{a,NULL}', '2024-02-29', 'a=>1,b=>NULL', 1.50, 'typed', ARRAY['test_of_typed'::regrole], 1.5),
         (NULL, 2, NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL);
       DROP ROLE test_of_typed`,
    );
    await scratch.client.query("CREATE TYPE mood AS ENUM ('a')");
    t.after(() => scratch.client.query('DROP TYPE mood').then(() => undefined));
    const yard = await openYard(own, t);
    await yard.archive({ table: 'typed' });
    const { outcomes } = await pass(yard);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['equal'],
      JSON.stringify(outcomes),
    );
    const { results } = await rehearsals(yard);
    assert.deepEqual(
      results[0]?.substitutes.map(({ column, as }) => `${column} ${as}`),
      ['m text', 'id json', 'p json', 'ms json', 'd text', 'h json', 'o text', 'os json', 'c text'],
    );
  });

  test('brings the rows of tables that inherit back, though they have the same keys', async (t) => {
    const own = await testDatabase(t);
    await own.client.query(
      `CREATE TABLE aunt (id int PRIMARY KEY, v text); CREATE TABLE niece () INHERITS (aunt);
       INSERT INTO aunt VALUES (1, 'her own'); INSERT INTO niece VALUES (1, 'of the niece')`,
    );
    const yard = await openYard(own, t);
    await yard.archive({ table: 'aunt' });
    const { outcomes } = await pass(yard);
    assert.deepEqual([outcomes.length, outcomes[0]?.status], [1, 'equal'], JSON.stringify(outcomes));
  });

  test('takes json in the place of types that no table can have', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ query: "SELECT 1 AS id, ROW(1, 'a') AS pair, pg_catalog.pg_sleep(0) AS nothing" });
    const { outcomes } = await pass(yard);
    assert.deepEqual([outcomes.length, outcomes[0]?.status], [1, 'equal'], JSON.stringify(outcomes));
    const { results } = await rehearsals(yard);
    assert.deepEqual(
      results[0]?.substitutes.map(({ column, type }) => `${column} ${type}`),
      ['pair record', 'nothing void'],
    );
  });

  test('fails loudly where the archive is damaged, and where rows come back as others', async (t) => {
    const yard = await openYard(source, t);
    const { run } = await yard.archive({ table: 'events' });
    const folder = path.join(yard.folder, 'store/it', `run=${run}`);
    const object = path.join(folder, (await readdir(folder)).find((file) => file.startsWith('part-')) ?? '');
    const whole = await readFile(object);
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(whole.length - 12) ^ 1, whole.length - 12);
    await writeFile(object, flipped);
    const damaged = await pass(yard);
    assert.deepEqual(
      damaged.outcomes.map(({ status }) => status),
      ['different'],
    );
    assert.equal((await rehearsals(yard)).results[0]?.code, 'object-damaged');
    await writeFile(object, whole.subarray(1));
    await pass(yard);
    assert.equal((await rehearsals(yard)).results[0]?.code, 'rehearsal-different');
    await writeFile(object, whole);
    await scratch.client.query(
      `CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 7 THEN NEW.body = 'x'; END IF; RETURN NEW; END $$;
       CREATE FUNCTION public.spoil() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE made record; BEGIN
         FOR made IN SELECT object_identity AS name FROM pg_event_trigger_ddl_commands() WHERE object_identity ~ 'pgsluice_rehearsal_[0-9a-f]+$' LOOP
           EXECUTE 'CREATE TRIGGER t BEFORE INSERT ON ' || made.name || ' FOR EACH ROW EXECUTE FUNCTION public.change()'; END LOOP; END $$;
       CREATE EVENT TRIGGER spoil ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.spoil()`,
    );
    const other = await pass(yard);
    await scratch.client.query('DROP EVENT TRIGGER spoil; DROP FUNCTION public.spoil, public.change');
    assert.deepEqual(
      other.outcomes.map(({ status }) => status),
      ['different'],
      JSON.stringify(other.outcomes),
    );
    assert.match((await rehearsals(yard)).results[0]?.message ?? '', /the server says 300 rows with the digest/);
    assert.deepEqual(await tables(), []);
    assert.equal((await pass(yard)).outcomes[0]?.status, 'equal');
    assert.deepEqual(
      (await rehearsals(yard)).results.map(({ status }) => status),
      ['equal'],
    );
  });
});

test('a value that the database cannot have, and that of the archive could, is no difference', async (t) => {
  const { url } = scratch;
  const name = `${scratch.name}_latin1`;
  await scratch.client.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
  t.after(() => scratch.client.query(`DROP DATABASE ${name} WITH (FORCE)`));
  const narrow = withDatabase(url, name);
  const yard = await openYard(source, t);
  await source.client.query(
    "CREATE TABLE wide_signs AS SELECT 1 AS id, '\u20ac'::text AS sign; ALTER TABLE wide_signs ADD PRIMARY KEY (id)",
  );
  await yard.archive({ table: 'wide_signs' });
  const toNarrow: Options['config'] = (config) => ({
    ...config,
    sources: { ...config.sources, scratch: { name: 'scratch', url: narrow } },
  });
  const { outcomes } = await pass(yard, { config: toNarrow });
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['failed'],
    JSON.stringify(outcomes),
  );
  assert.match(failureOf(outcomes[0]).message, /LATIN1/);
  assert.deepEqual((await rehearsals(yard)).results, []);
});

test('nothing goes by a record that nobody can believe', async (t) => {
  const yard = await openYard(source, t);
  await yard.archive({ table: 'events' });
  await writeFile(path.join(yard.folder, 'store/it/_rehearsals.json'), '{"format":"pgsluice/rehearsals/1"}');
  const { unknown, outcomes } = await pass(yard);
  assert.deepEqual([unknown, outcomes], [['bad-rehearsals'], []]);
});

test('a record that nobody can believe keeps no other archive from being rehearsed, and a result of the future counts for nothing', async (t) => {
  const yard = await openYard(source, t);
  await yard.archive({ table: 'events' });
  await pass(yard);
  const file = path.join(yard.folder, 'store/it/_rehearsals.json');
  const record = JSON.parse(await readFile(file, 'utf8')) as Rehearsals;
  const [done] = record.results;
  const forged = { ...done, run: '20990101T000000Z', at: '2999-01-01T00:00:00.000Z', status: 'different' };
  await writeFile(file, JSON.stringify({ ...record, results: [...record.results, forged] }));
  await mkdir(path.join(yard.folder, 'store/other'));
  await writeFile(path.join(yard.folder, 'store/other/_rehearsals.json'), '[');
  const { unknown, outcomes } = await pass(yard, {
    config: (config) => {
      const [it] = Object.values(config.archives);
      return { ...config, archives: { it: it!, other: { ...it!, name: 'other' } } };
    },
  });
  assert.deepEqual([unknown, outcomes.map(({ status }) => status)], [['bad-rehearsals'], ['equal']]);
  assert.deepEqual(
    (await rehearsals(yard)).results.map(({ run }) => run),
    [done?.run],
  );
});

describe('a rehearsal that is killed', () => {
  const STEPS: Record<RehearsalStep, string> = {
    noted: 'its table is noted',
    made: 'its table is made',
    filling: 'rows are read',
    restored: 'all rows are there',
    compared: 'they were compared',
    dropped: 'its table is dropped',
  };
  const strangers = `pgsluice_rehearsal_${'a'.repeat(32)}`;

  /** Dies at that step: its connections to the database break, and it writes nothing more. Resolves to the tables that it leaves. */
  async function killAt(yard: Yard, step: RehearsalStep): Promise<string[]> {
    const reached = Promise.withResolvers<undefined>();
    const killed = Promise.withResolvers<never>();
    killed.promise.catch(() => undefined);
    let isDead = false;
    const dying = pass(yard, {
      onStep: (at) => {
        if (at === step) reached.resolve(undefined);
        // After its end nothing goes on, whatever step the way out leads to.
        return at === step || isDead ? killed.promise : undefined;
      },
    });
    try {
      await Promise.race([reached.promise, dying.then(({ outcomes }) => assert.fail(JSON.stringify(outcomes)))]);
      assert.deepEqual((await pass(yard)).outcomes, [], 'the other host leaves it alone while it lives');
      const left = { tables: await tables(), noted: await rehearsals(yard) };
      isDead = true;
      await endOthers();
      killed.reject(new Error('it was killed'));
      await dying;
      await eventually('its connections have ended', async () => (await others()).length === 0);
      assert.deepEqual({ tables: await tables(), noted: await rehearsals(yard) }, left, 'the dead write nothing');
      return left.tables;
    } finally {
      killed.reject(new Error('it was killed'));
    }
  }

  const OTHERS = `FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'`;
  const others = async () => (await scratch.client.query<{ pid: number }>(`SELECT pid ${OTHERS}`)).rows;
  const endOthers = () => scratch.client.query(`SELECT pg_terminate_backend(pid) ${OTHERS}`);

  for (const [step, words] of Object.entries(STEPS) as [RehearsalStep, string][])
    test(`once ${words}, leaves at most what the next start drops`, async (t) => {
      const yard = await openYard(source, t);
      await yard.archive({ table: 'events' });
      const left = await killAt(yard, step);
      const isThere = !['noted', 'dropped'].includes(step);
      assert.equal(left.filter((name) => name.startsWith('pgsluice_rehearsal_')).length, isThere ? 1 : 0, left.join());
      assert.equal((await rehearsals(yard)).attempts.length, step === 'dropped' ? 0 : 1);
      await scratch.client.query(`CREATE TABLE ${SCHEMA}.${strangers} (i int)`);
      const { outcomes } = await pass(yard, { slot: null });
      const found = await tables();
      await scratch.client.query(`DROP TABLE ${SCHEMA}.${strangers}`);
      assert.deepEqual([outcomes, found], [[], [strangers]], 'only ours goes');
      assert.deepEqual(await rehearsals(yard), { attempts: [], results: [] });
      assert.equal((await pass(yard)).outcomes[0]?.status, 'equal');
    });

  test('leaves a table that somebody has made his own, and says so', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    const [name = ''] = (await killAt(yard, 'restored')).filter((one) => one.startsWith('pgsluice_rehearsal_'));
    await scratch.client.query(`COMMENT ON TABLE ${SCHEMA}.${name} IS 'kept for the audit'`);
    const { log, outcomes } = await pass(yard);
    const found = await tables();
    await scratch.client.query(`DROP TABLE ${SCHEMA}.${name}`);
    assert.deepEqual([outcomes[0]?.status, found], ['equal', [name]]);
    const said = log.map(({ message }) => message);
    assert.ok(said.includes('a table of a rehearsal is not ours any more'), said.join('\n'));
  });

  test('keeps others from being made as long as its table cannot be dropped', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    const [name = ''] = (await killAt(yard, 'restored')).filter((one) => one.startsWith('pgsluice_rehearsal_'));
    await scratch.client.query(`CREATE VIEW public.hanging AS SELECT id FROM ${SCHEMA}.${name}`);
    const { outcomes } = await pass(yard);
    await scratch.client.query('DROP VIEW public.hanging');
    assert.deepEqual([outcomes.length, failureOf(outcomes[0]).code], [1, 'rehearsal-leftover']);
    assert.equal((await pass(yard)).outcomes[0]?.status, 'equal');
    assert.deepEqual(await tables(), []);
  });

  test('loses nothing by a stop instead: its table goes at once', async (t) => {
    const yard = await openYard(source, t);
    await yard.archive({ table: 'events' });
    const stop = new AbortController();
    const { outcomes } = await pass(yard, {
      signal: stop.signal,
      onStep: (step) => {
        if (step === 'filling') stop.abort(new Error('stop'));
      },
    });
    assert.deepEqual([outcomes, await tables()], [[{ status: 'stopped' }], []]);
    assert.deepEqual(await rehearsals(yard), { attempts: [], results: [] });
  });
});
