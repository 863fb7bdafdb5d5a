/** What `check --online` says of archives of windows: what is missing, what holds them up, and what will never be archived. */
import { toFailure } from '../base/errors.ts';
import { countOf } from '../base/units.ts';
import { sourceOf } from '../config/resolve.ts';
import type { Config } from '../config/schema.ts';
import type { OnlineFinding, TellFinding } from '../run/check-online.ts';
import { lookWithin, LOOK_LIMIT_MS } from '../run/look-within.ts';
import { isWindowed } from '../run/subject.ts';
import { lookAtWindows, windowWarnings } from './look.ts';
import type { WindowedArchive } from './window-source.ts';

/** In the order of the config: told at once, and returned in the end. Never throws. */
export async function checkWindows(config: Config, tell: TellFinding): Promise<OnlineFinding[]> {
  const findings: OnlineFinding[] = [];
  for (const archive of Object.values(config.archives)) {
    const found = isWindowed(archive) ? await checkArchive(config, archive) : [];
    for (const finding of found) tell(finding);
    findings.push(...found);
  }
  return findings;
}

async function checkArchive(config: Config, archive: WindowedArchive): Promise<OnlineFinding[]> {
  const subject = `archives.${archive.name}.window`;
  try {
    const source = sourceOf(config, archive);
    const look = await lookWithin(LOOK_LIMIT_MS, source, (client) => lookAtWindows(client, config, archive));
    const missing = `${countOf(look.missing.length, 'window')}${look.more ? ' and more' : ''}`;
    const message = `${missing} to make, ${countOf(look.committed, 'run')} committed`;
    const warnings = windowWarnings(archive, look).map(
      (text) => ({ level: 'warning', subject, message: text }) as const,
    );
    return [{ level: 'ok', subject, message }, ...warnings];
  } catch (error) {
    const { code, message, hint } = toFailure(error, 'plan');
    return [{ level: code === 'not-populated' ? 'warning' : 'error', subject, message, hint }];
  }
}
