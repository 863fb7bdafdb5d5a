/** The page of a fake daemon, opened in a browser. */
import { after } from 'node:test';
import { openPage, type PageOptions, type WatchedPage } from './browser.ts';
import { type DaemonFacts, FakeDaemon } from './fake-daemon.ts';

const daemons: FakeDaemon[] = [];

/** A daemon with these facts and its page, opened at `hash`. It is stopped at the end of the file. */
export async function openPageOf(
  facts: Partial<DaemonFacts>,
  options: PageOptions = {},
  hash = '',
): Promise<WatchedPage & { daemon: FakeDaemon }> {
  const daemon = new FakeDaemon(facts);
  daemons.push(daemon);
  return { ...(await openPage((await daemon.start()) + hash, options)), daemon };
}

after(async () => {
  await Promise.all(daemons.map((daemon) => daemon.stop()));
});
