/** `pgsluice daemon`: runs on schedule until it is stopped. */
import { errorText } from '../base/errors.ts';
import { growHeapsSlowly } from '../base/process-memory.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import { Daemon } from '../daemon/daemon.ts';
import { openHistory } from '../daemon/history/history.ts';
import { openNotify } from '../daemon/systemd/notify.ts';
import { EXIT } from './entry.ts';
import { openConfig, openLog, serviceWarnings, type Invocation } from './invocation.ts';

/** How long the process may live on after its last line. */
const LEFT_OPEN_MS = 500;

export async function daemonCommand(invocation: Invocation): Promise<number> {
  // It lives for months, and its start is no matter.
  growHeapsSlowly();
  const config = openConfig(invocation);
  const log = openLog(invocation, config);
  for (const warning of serviceWarnings(invocation, config)) log.warn(warning);
  tellTlsMeanings(log, Object.values(config.sources));
  const notify = await openNotify(invocation.environment, (problem) => {
    log.warn(problem);
  });
  const { configFile } = invocation;
  const history = await openHistory(config.state, log);
  const daemon = new Daemon({ config, configFile, log, notify, history, reload: () => openConfig(invocation) });
  const fail = (error: unknown): void => {
    log.fatal({ error: errorText(error) }, 'the daemon cannot go on');
    process.exit(EXIT.failed);
  };
  process.on('SIGHUP', () => void daemon.reload().catch(fail));
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => void daemon.stop(name).catch(fail));
  await daemon.run();
  // What is still open, such as a connection to a server that is cut off, keeps no process that has said that it has stopped.
  setTimeout(() => process.exit(EXIT.done), LEFT_OPEN_MS).unref();
  return EXIT.done;
}
