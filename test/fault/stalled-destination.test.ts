/** A daemon whose destination does not answer one kind of request still ends when it is told to. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { openHistory } from '../../src/daemon/history/history.ts';
import { openNotify } from '../../src/daemon/systemd/notify.ts';
import { happened, withDeadline } from '../support/cli.ts';
import { EVERY_SECOND } from '../support/daemon.ts';
import { recordTo, type LogLine } from '../support/record-log.ts';
import { createWideTable, openSite, type Site } from '../support/site.ts';

/** The request that stalls, the end of its key, and how many of them are let through before. */
const STALLS = [
  { operation: 'ListObjectsV2', when: 'at the start' },
  { operation: 'ListMultipartUploads', when: 'at the start' },
  { operation: 'GetObject', when: 'when a run begins' },
  { operation: 'HeadObject', when: 'before the plan is written' },
  { operation: 'PutObject', keyEnd: 'plan.json', when: 'for the plan' },
  { operation: 'ListObjectsV2', passed: 2, when: 'when a run is taken up' },
  { operation: 'CreateMultipartUpload', when: 'in a segment' },
  { operation: 'UploadPart', when: 'in a segment' },
  { operation: 'CompleteMultipartUpload', when: 'in a segment' },
  { operation: 'HeadObject', keyEnd: '.jsonl', when: 'after an upload' },
  { operation: 'AbortMultipartUpload', when: 'after an upload that failed', failing: 'UploadPart' },
  { operation: 'PutObject', keyEnd: 'part-00000.json', when: 'for a receipt' },
  { operation: 'PutObject', keyEnd: '_manifest.json', when: 'for the manifest' },
  { operation: 'GetObject', keyEnd: '_manifest.json', passed: 2, when: 'when the manifest is read back' },
  { operation: 'DeleteObjects', when: 'when the journal is cleared' },
];

describe('a daemon that is stopped while its destination does not answer', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createWideTable(site, 'wide', 600);
  });

  for (const [at, { operation, keyEnd = '', passed = 0, failing, when }] of STALLS.entries()) {
    test(`ends all the same: ${operation} ${when}`, async () => {
      const archive = `stalled_${at}`;
      const table = { table: 'wide', schedule: EVERY_SECOND, segments: { by: 'none' }, compression: { codec: 'none' } };
      const file = await site.writeConfig({ archives: { [archive]: table }, drainTimeout: '100ms' });
      const lines: LogLine[] = [];
      const log = recordTo(lines);
      const config = loadConfig(file, site.environment);
      const [notify, history] = [await openNotify({}, () => undefined), await openHistory(config.state, log)];
      const daemon = new Daemon({ config, configFile: 'none', log, notify, history, reload: () => config });
      if (failing !== undefined)
        site.proxy.order(failing, { kind: 'error', status: 403, code: 'AccessDenied' }, Infinity);
      const stall = site.proxy.order(operation, { kind: 'stall' }, Infinity, keyEnd, passed);
      const running = daemon.run();
      await happened(stall);
      // Unstopped, each of these waits for a minute and longer.
      await withDeadline(Promise.all([daemon.stop('SIGTERM'), running]), () => JSON.stringify(lines));
      assert.equal(lines.at(-1)?.message, 'daemon has stopped');
      site.proxy.reset();
    });
  }
});
