/** Lets an embedded Postgres take TLS as well, with a certificate of its own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { say } from './site.ts';

/** The URL by which the certificate is verified; undefined, said, where openssl is missing. */
export async function takeTls({ url, dataDir }: { url: string; dataDir: string }): Promise<string | undefined> {
  const [key, certificate] = [path.join(dataDir, 'server.key'), path.join(dataDir, 'server.crt')];
  const name = '-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1';
  const made = spawnSync(
    'openssl',
    `req -x509 -newkey rsa:2048 -nodes -days 2 ${name} -keyout ${key} -out ${certificate}`.split(' '),
  );
  if (made.error !== undefined) {
    say('openssl is missing, so that nothing is measured over TLS; apt install openssl');
    return undefined;
  }
  if (made.status !== 0) throw new Error(made.stderr.toString());
  const { uid, gid } = statSync(dataDir);
  for (const file of [key, certificate]) chownSync(file, uid, gid);
  chmodSync(key, 0o600);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('ALTER SYSTEM SET ssl = on');
  await client.query('SELECT pg_reload_conf()');
  await client.end();
  return `${url}?sslmode=verify-full&sslrootcert=${certificate}`;
}
