import assert from 'node:assert/strict';
import { MessagePort } from 'node:worker_threads';
import { before, describe, mock, test } from 'node:test';
import { createLog } from '../../../src/base/log.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { secretValues } from '../../../src/config/secrets.ts';
import { restoreArchive } from '../../../src/restore/restore-archive.ts';
import { runArchive } from '../../../src/run/run-archive.ts';
import { Bindings } from '../../../src/work/bindings.ts';
import { Threads } from '../../../src/work/threads.ts';
import '../../support/bundled-threads.ts';
import { createRows, RUN, segmented } from '../../support/segments.ts';
import { openSite, type Site } from '../../support/site.ts';

/** In every place of a config that may hold a secret. */
const CANARY = 'canary-4711';

const original = MessagePort.prototype.postMessage;

let site: Site;

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', 5000);
  await site.database.client.query('CREATE TABLE back (LIKE rows INCLUDING ALL)');
});

/** A config whose every secret is a canary. The server knows it; the endpoint lets everybody in. */
async function writeCanaries(role: string): Promise<string> {
  const url = new URL(site.database.url);
  url.username = role;
  url.password = CANARY;
  return site.writeConfig({
    sources: { default: { url: url.href } },
    destinations: { default: site.destination({ accessKeyId: CANARY, secretAccessKey: CANARY }) },
    archives: { rows: segmented('rows', 'key', '64KiB') },
    http: { token: `${CANARY}-for-the-page` },
    notify: [{ url: `https://chat.example.com/${CANARY}` }],
  });
}

describe('what is sent to the threads', () => {
  test('for a run and for its restore has no secret, but for the one message that says what the names stand for', async (t) => {
    const role = `${site.database.name}_canary`;
    await site.database.client.query(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${CANARY}'`);
    t.after(() => site.database.client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    const sent: string[] = [];
    const post = mock.method(MessagePort.prototype, 'postMessage', function (this: MessagePort, ...args: never[]) {
      sent.push(JSON.stringify(args[0]));
      return Reflect.apply(original, this, args) as undefined;
    });
    const config = loadConfig(await writeCanaries(role), {});
    const secrets = secretValues(config);
    assert.ok(secrets.filter((secret) => secret.includes(CANARY)).length >= 4, 'the config has canaries');
    const bindings = new Bindings();
    const place = new Threads({ ...config.workers, threads: 2 }, bindings);
    const context = {
      config,
      generation: bindings.add(config),
      place,
      log: createLog({ level: 'silent' }),
      signal: new AbortController().signal,
    };
    const archive = config.archives['rows']!;
    const archived = await runArchive(context, archive, RUN);
    assert.equal(archived.status, 'committed', JSON.stringify(archived.error));
    const restored = await restoreArchive(context, {
      archive,
      run: undefined,
      source: config.sources['default']!,
      into: { schema: 'public', table: 'back' },
      create: false,
      onConflict: 'fail',
      selfReferences: 'refuse',
      keys: {},
    });
    assert.equal(restored.status, 'restored', JSON.stringify(restored.error));
    await place.close();
    post.mock.restore();

    const isBinding = (message: string): boolean => message.startsWith('{"kind":"binding"');
    const tasksOf = (kind: string): string[] => sent.filter((message) => message.includes(`"kind":"${kind}"`));
    assert.equal(tasksOf('archive-segment').length, archived.objects);
    // Small objects share a task.
    assert.equal(
      tasksOf('restore-object')
        .join()
        .match(/"sha256":/g)?.length,
      restored.objects,
    );
    assert.ok(archived.objects >= 4, `${archived.objects} objects`);
    for (const message of sent.filter((one) => !isBinding(one)))
      for (const secret of [CANARY, ...secrets]) assert.ok(!message.includes(secret), message);
    const told = sent.filter(isBinding);
    assert.ok(told.length >= 1 && told.length <= 2, `each of two threads is told once, and ${told.length} were told`);
    assert.ok(told.every((message) => message.includes(CANARY)));
    assert.ok(told.every((message) => !message.includes('for-the-page') && !message.includes('chat.example.com')));
  });
});
