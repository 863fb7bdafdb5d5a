/** The site with an S3 endpoint that costs little in place of the embedded one. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Closers } from '../src/base/closers.ts';
import { openConfiguredStore, type Site } from './site.ts';

export interface LightSite extends Site {
  /** Whether data is kept from now on: else it is dropped once its digest was checked. */
  keepData: (keep: boolean) => Promise<void>;
}

export async function openLightSite(site: Site, closers: Closers): Promise<LightSite> {
  const child = fork(path.join(import.meta.dirname, 'light-endpoint.ts'));
  closers.add('the light S3 endpoint', async () => {
    // Ctrl-C reaches it as well.
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  });
  const [endpoint] = (await once(child, 'message')) as [string];
  const environment = { ...site.environment, S3_ENDPOINT: endpoint };
  const store = openConfiguredStore(site.writeConfig('light', { none: 'table: none' }), environment);
  closers.add('the store of the light S3 endpoint', () => {
    store.close();
  });
  const keepData = async (keep: boolean): Promise<void> => {
    const answered = once(child, 'message');
    child.send(keep);
    await answered;
  };
  return { ...site, environment, store, keepData };
}
