import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { RunResult } from '../../src/run/run-archive.ts';
import { runInProcess } from '../support/in-process.ts';
import { type Edit, type PostgresProxy, startPostgresProxy } from '../support/postgres-proxy.ts';
import { oracleLines } from '../support/read-lines.ts';
import { createRows, RUN } from '../support/segments.ts';
import { failureOf, openSite, type Site } from '../support/site.ts';
import { commandComplete, message } from '../support/wire.ts';

const ROWS = 5000;

interface Fault {
  what: string;
  reader: 'copy' | 'query' | 'cursor';
  /** What happens to the answer of one segment's query. */
  edit: () => Edit;
}

/** What is read, and by which way. */
const READINGS = {
  copy: { table: 'counted', read: 'copy' },
  query: { query: 'SELECT * FROM counted WHERE id > $1', params: [0] },
  cursor: { table: 'counted', read: 'cursor' },
};

/** The rows of a cursor: of a result whose first column is `id`, which those of the connection's settings do not have. */
function ofCursor(edit: Edit): Edit {
  let isOfRows = false;
  return (seen, bytes) => {
    if (seen.type === 'T') isOfRows = seen.body.toString('latin1', 2, 5) === 'id\0';
    return isOfRows ? edit(seen, bytes) : bytes;
  };
}

/** Drops the message of that type which comes as the `place`-th. */
function dropping(type: string, place: number): Edit {
  let seen = 0;
  return (one, bytes) => {
    if (one.type === type) seen += 1;
    return one.type === type && seen === place ? undefined : bytes;
  };
}

/** Replaces the server's word for how many rows it sent. */
function saying(words: (rows: number) => Buffer | undefined): Edit {
  return (one, bytes) => {
    const [, rows] = one.type === 'C' ? (/^(?:COPY|SELECT) (\d+)\0$/.exec(one.body.toString('latin1')) ?? []) : [];
    return rows === undefined ? bytes : words(Number(rows));
  };
}

/** The settings of a connection are single SELECTs; a COPY has its own word. */
function sayingOfCopy(words: (rows: number) => Buffer | undefined): Edit {
  const edit = saying(words);
  return (one, bytes) => (one.body.toString('latin1').startsWith('COPY ') ? edit(one, bytes) : bytes);
}

const FAULTS: Fault[] = [
  { what: 'a row is lost on the way of a COPY', reader: 'copy', edit: () => dropping('d', 1000) },
  {
    what: 'a COPY ends without the server saying that it is complete',
    reader: 'copy',
    edit: () => sayingOfCopy(() => undefined),
  },
  {
    what: 'the server says that a COPY has one row more than came',
    reader: 'copy',
    edit: () => sayingOfCopy((rows) => commandComplete(`COPY ${rows + 1}`)),
  },
  { what: 'a row is lost on the way of a query with parameters', reader: 'query', edit: () => dropping('D', 1000) },
  {
    what: 'the server says that a query with parameters has one row more than came',
    reader: 'query',
    edit: () => saying((rows) => commandComplete(`SELECT ${rows === ROWS ? rows + 1 : rows}`)),
  },
  { what: 'a row is lost on the way of a cursor', reader: 'cursor', edit: () => ofCursor(dropping('D', 1000)) },
  {
    what: 'a row is lost in the last read of a cursor',
    reader: 'cursor',
    edit: () => ofCursor(dropping('D', ROWS)),
  },
  {
    what: 'the server says that a cursor has one row more than came',
    reader: 'cursor',
    edit: () => ofCursor(saying((rows) => commandComplete(`SELECT ${rows + 1}`))),
  },
  {
    what: 'a read of a cursor ends as if there were more, with fewer rows than were asked for',
    reader: 'cursor',
    edit: () => ofCursor(saying(() => message('s'))),
  },
];

describe('a source that is cut short', () => {
  let site: Site;
  let proxy: PostgresProxy;
  let runs = 0;
  let name: string;

  before(async () => {
    site = await openSite();
    proxy = await startPostgresProxy(site.database.url);
    await createRows(site, 'counted', ROWS);
  });
  after(() => proxy.stop());
  beforeEach(() => {
    runs += 1;
    name = `counted${runs}`;
  });

  /** Runs the archive through the proxy; the connections of its segments are edited, the first `times` of them. */
  async function run({ reader, edit }: Fault, times: number): Promise<RunResult> {
    const isReader = new RegExp(`^pgsluice ${name}/${RUN}/`);
    let left = times;
    proxy.onConnection = (application) => {
      if (!isReader.test(application) || left === 0) return undefined;
      left -= 1;
      return edit();
    };
    const archive = {
      ...READINGS[reader],
      segments: { by: 'none' },
      retry: { attempts: 2, backoff: '1ms' },
    };
    // A thread keeps the connections of a URL: none of an earlier run is to be there.
    const url = new URL(proxy.url);
    url.searchParams.set('application_name', name);
    const sources = { default: { url: url.href } };
    const config = await site.writeConfig({ archives: { [name]: archive }, sources });
    return (await runInProcess(site, config, name, RUN)).result;
  }

  for (const fault of FAULTS) {
    test(`${fault.what}: each time, and the run fails and leaves nothing`, async () => {
      const failure = failureOf([await run(fault, Infinity)]);
      assert.equal(failure.code, 'row-count-mismatch');
      assert.equal(failure.stage, 'read');
      assert.equal(failure.transient, true);
      assert.match(failure.message, /after 2 attempts/);
      await site.assertNothingLeft(name, RUN);
      assert.deepEqual(await site.keys(name).then((keys) => keys.filter((key) => key.includes('/part-'))), []);
    });

    test(`${fault.what}: once, and the segment is read again`, async () => {
      const result = await run(fault, 1);
      assert.equal(result.status, 'committed', JSON.stringify(result.error));
      assert.ok((await site.lines(name, RUN)).join() === (await oracleLines(site.database.url, 'counted')).join());
    });
  }
});
