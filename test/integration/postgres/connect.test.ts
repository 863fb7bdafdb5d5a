import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { before, describe, test } from 'node:test';
import { toFailure } from '../../../src/base/errors.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';

const applicationName = 'pgsluice events on db1';
let database: TestDatabase;

before(async () => {
  database = await testDatabase();
});

describe('a connection', () => {
  test('has our name on the server, whatever its url calls it', async () => {
    const url = new URL(database.url);
    url.searchParams.set('application_name', 'theirs');
    url.searchParams.set('fallback_application_name', 'theirs');
    url.searchParams.set('options', '-c application_name=theirs');
    const client = await connectPostgres({ url: url.href, applicationName });
    const { rows } = await client.query('SHOW application_name');
    await endConnection(client);
    assert.deepEqual(rows, [{ application_name: applicationName }]);
  });

  test('without a password is refused, and the failure says where to write it', async () => {
    const url = new URL(database.url);
    url.password = '';
    const failure = await failureOf(url.href);
    assert.deepEqual([failure.code, failure.transient], ['login-refused', false]);
    assert.match(failure.hint, /the url of this source has none: write it there/);
  });

  test('that drops in the handshake of TLS is lost, not refused, and nothing is printed of sslmode', async (t) => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    // It agrees to TLS, and is gone.
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('S'));
      socket.on('data', (bytes) => {
        if (bytes[0] === TLS_HANDSHAKE) socket.destroy();
      });
    });
    t.after(() => {
      process.off('warning', note);
      server.close();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const failure = await failureOf(`postgres://u:p@127.0.0.1:${port}/db?sslmode=require`);
    assert.deepEqual([failure.code, failure.transient], ['connection-lost', true]);
    assert.deepEqual(warnings, []);
  });
});

const TLS_HANDSHAKE = 0x16;

async function failureOf(url: string): Promise<ReturnType<typeof toFailure>> {
  return connectPostgres({ url, applicationName }).then(
    () => assert.fail('it is connected'),
    (error: unknown) => toFailure(error, 'connect'),
  );
}
