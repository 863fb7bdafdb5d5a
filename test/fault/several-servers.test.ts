import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FailureError } from '../../src/base/errors.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/demo/embedded-postgres.ts';
import { connectPostgres, endConnection, type Client } from '../../src/postgres/connect.ts';
import { importSnapshotOf, markServer, type ServerMark } from '../../src/postgres/server-mark.ts';
import { beginReading, exportSnapshot } from '../../src/postgres/snapshot.ts';
import { runInProcess } from '../support/in-process.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres-proxy.ts';
import { connect } from '../support/postgres.ts';
import { assertEachOnce, createRows, idsOf, RUN, segmented } from '../support/segments.ts';
import { openSite, type Site } from '../support/site.ts';

const ROWS = 2000;

describe('a url that leads to several servers', () => {
  let site: Site;
  let proxy: PostgresProxy;
  let other: EmbeddedPostgres;
  let url: string;

  /** Two servers with the same table, and a role that both let in. */
  before(async () => {
    site = await openSite();
    await createRows(site, 'rows', ROWS);
    other = await startPostgres();
    const { pathname, username, password } = new URL(site.database.url);
    const second = await connect(other.url);
    await second.query(`ALTER ROLE "${username}" PASSWORD '${password}'`);
    await second.query(`CREATE DATABASE ${site.database.name}`);
    await second.end();
    const elsewhere = new URL(site.database.url);
    elsewhere.host = new URL(other.url).host;
    elsewhere.pathname = pathname;
    const copy = await connect(elsewhere.href);
    await copy.query('CREATE TABLE rows (id int PRIMARY KEY, v text NOT NULL)');
    await copy.end();
    proxy = await startPostgresProxy(site.database.url);
    url = elsewhere.href;
  });
  after(async () => {
    await proxy.stop();
    await other.stop();
  });

  async function config(name: string): Promise<string> {
    const archive = segmented('rows', 'key', '8KiB');
    return site.writeConfig({ sources: { default: { url: proxy.url } }, archives: { [name]: archive } });
  }

  test('fails and says so, as a snapshot is of one of them', async () => {
    // Each new session comes to the first one, and the threads of a run to the other: one that comes to the first keeps its connection.
    proxy.serverOf = (application) => (application.includes('/') ? url : site.database.url);
    const { result, log } = await runInProcess(site, await config('spread'), 'spread', RUN);
    assert.equal(result.error?.code, 'several-servers');
    const ports = [site.database.url, url].map((each) => new URL(each).port);
    assert.match(
      result.error.message,
      new RegExp(`of 127.0.0.1:${ports[0]} \\(started .* came to 127.0.0.1:${ports[1]}`),
    );
    assert.match(result.error.hint, /one server in the url/);
    assert.ok(log.some(({ message }) => message.startsWith('session lost, the run goes on')));
    assert.equal(await site.manifest('spread', RUN), undefined);
  });

  test('only until a failover is over is gone on with under a new snapshot', async () => {
    let sessions = 0;
    proxy.serverOf = (application) => {
      if (application.startsWith('pgsluice moved on ')) sessions += 1;
      return sessions === 1 && application.includes('/') ? url : site.database.url;
    };
    const { result } = await runInProcess(site, await config('moved'), 'moved', RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assertEachOnce(await idsOf(site, 'moved'), ROWS);
  });
});

describe('a snapshot', () => {
  let site: Site;
  let holder: Client;
  let id: string;
  let mark: ServerMark;

  before(async () => {
    site = await openSite();
    holder = await connectPostgres({ url: site.database.url, applicationName: 'test' });
    mark = await markServer(holder);
    await beginReading(holder);
    ({ id } = await exportSnapshot(holder));
  });
  after(() => endConnection(holder));

  /** How its import ends, by an id and on a server that is taken for that of this mark. */
  async function codeOf(snapshot: string, changes: Partial<ServerMark>): Promise<string | undefined> {
    const client = await connectPostgres({ url: site.database.url, applicationName: 'test' });
    try {
      await importSnapshotOf(client, snapshot, { ...mark, ...changes });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof FailureError, String(error));
      return error.failure.code;
    } finally {
      await endConnection(client);
    }
  }

  const UNKNOWN = '00000FFF-00000001-1';
  const EARLIER = { startedAt: 1 };
  const LATER = { startedAt: 4e9 };

  for (const [situation, snapshot, changes, expected] of [
    ['is imported on its own server', undefined, {}, undefined],
    ['that is gone is said to be lost', UNKNOWN, {}, 'snapshot-lost'],
    ['that went with a restart is said to be lost', UNKNOWN, EARLIER, 'snapshot-lost'],
    ['of the same id after a restart is not taken for it', undefined, EARLIER, 'snapshot-lost'],
    ['of another server is told from one that is lost', UNKNOWN, LATER, 'several-servers'],
    ['of the same id on another server is not taken for it', undefined, LATER, 'several-servers'],
    ['of another address is not taken for it', undefined, { ...EARLIER, address: '10.0.0.9:5432' }, 'several-servers'],
    ['of another system is not taken for it', undefined, { ...EARLIER, systemIdentifier: '1' }, 'several-servers'],
  ] as const)
    test(situation, async () => {
      assert.equal(await codeOf(snapshot ?? id, changes), expected);
    });
});
