import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Config } from '../../../src/config/schema.ts';
import { RunFolder } from '../../../src/ledger/run-folder.ts';
import { runArchive, type RunResult } from '../../../src/run/run-archive.ts';
import { openFileStore } from '../../../src/store/file/file.ts';
import { aManifest, ARCHIVE, RUN } from '../../support/ledger.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { load } from '../config/support.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-run-archive-'));
after(() => rmSync(folder, { recursive: true }));

/** A source that nobody listens at, and a folder. */
function configOf(name: string): Config {
  return load(`
sources: { default: { url: "postgres://nobody@127.0.0.1:1/nothing" } }
destinations: { default: { url: "file://${path.join(folder, name)}" } }
archives: { ${ARCHIVE}: { table: events, retry: { attempts: 1, backoff: 1ms } } }`);
}

async function run(
  config: Config,
  signal = new AbortController().signal,
): Promise<{ result: RunResult; log: LogLine[] }> {
  const log: LogLine[] = [];
  const options = { config, generation: 1, place: {} as never, log: recordTo(log), signal };
  return { result: await runArchive(options, config.archives[ARCHIVE]!, RUN), log };
}

/** Lines that say how a run ended. */
function endings(log: readonly LogLine[]): [message: string, status: unknown][] {
  return log.filter(({ fields }) => 'status' in fields).map(({ message, fields }) => [message, fields['status']]);
}

describe('a run says in one line of the log how it ended', () => {
  test('when it failed', async () => {
    const { result, log } = await run(configOf('failed'));
    assert.deepEqual([result.status, result.error?.code], ['failed', 'connection-refused']);
    assert.deepEqual(endings(log), [['run failed', 'failed']]);
  });

  test('when it was committed before', async () => {
    const config = configOf('committed');
    const runFolder = new RunFolder(openFileStore(path.join(folder, 'committed')), ARCHIVE, RUN);
    await runFolder.commit(runFolder.seal(aManifest()));
    const { result, log } = await run(config);
    assert.equal(result.status, 'already-committed');
    assert.deepEqual(endings(log), [['run was committed before', 'already-committed']]);
  });
});
