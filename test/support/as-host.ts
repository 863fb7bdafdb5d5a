/**
 * Goes into a process of pgsluice, see program.ts: it is another host, PGSLUICE_TEST_HOST, and hosts find out sooner than in
 * earnest who is gone.
 */
import os from 'node:os';
import { LIVENESS } from '../../src/run/liveness.ts';

const host = process.env['PGSLUICE_TEST_HOST'];
if (host !== undefined) os.hostname = () => host;
Object.assign(LIVENESS, {
  heartbeatMs: 500,
  holderSilenceMs: 5000,
  signMs: 400,
  silenceMs: 1500,
  lockLookMs: 300,
  journalLookMs: 500,
});
