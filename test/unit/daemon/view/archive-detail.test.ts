import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveConfig } from '../../../../src/config/resolve.ts';
import { configSchema } from '../../../../src/config/schema.ts';
import { describeArchive } from '../../../../src/daemon/view/archive-detail.ts';
import { FakeDaemon } from '../../../support/fake-daemon.ts';
import { archiveOf, FAILURE, type FakeArchive, runningRun } from '../../../support/page-facts.ts';

const SERVICE = '/etc/pgsluice/pgsluice.yaml';

function detailOf(archive: FakeArchive, configFile = SERVICE, environment: NodeJS.ProcessEnv = {}) {
  const { generation, ...parts } = new FakeDaemon({ archives: [archive] }).parts;
  const { control } = resolveConfig(
    configSchema.parse({
      sources: { default: { url: 'postgres://h/d' } },
      destinations: { default: { url: 'file:///srv' } },
      archives: { a: { table: 't' } },
    }),
    environment,
  );
  const config = { ...generation.config, control };
  return describeArchive({ ...parts, generation: { ...generation, config }, configFile }, archive.name)!;
}

describe('the page of an archive', () => {
  test('has the next slots, also in a pause, and none without a schedule', () => {
    const { nextSlots } = detailOf(
      archiveOf('events', { schedule: 'paused' }, { schedule: '15 2 * * *', timezone: 'UTC' }),
    );
    assert.equal(nextSlots.length, 5);
    assert.ok(nextSlots.every((slot) => slot.slice(11) === '02:15:00.000Z'));
    assert.deepEqual(detailOf(archiveOf('events', {}, { schedule: undefined })).nextSlots, []);
  });

  test('has commands that work where the daemon runs, for what stands', () => {
    const run = '20261122T021500Z';
    const commandsOf = (...given: Parameters<typeof detailOf>) =>
      detailOf(...given).commands.map(({ command }) => command);
    const failing = archiveOf('events', { health: 'failing', lastFailure: FAILURE });
    assert.deepEqual(commandsOf(failing, SERVICE, { RUNTIME_DIRECTORY: '/run/pgsluice' }), [
      `sudo pgsluice trigger events --run-id ${FAILURE.run}`,
      'sudo pgsluice trigger events',
      'sudo pgsluice pause events',
      'sudo pgsluice check --online',
      'sudo pgsluice plan events',
      'sudo pgsluice list events',
      `sudo pgsluice verify events ${run}`,
      `sudo pgsluice restore events ${run} --into public.pgsluice_restored --create`,
      'journalctl --unit pgsluice --since yesterday --grep events',
    ]);
    const running = archiveOf(
      'events',
      { lastSuccess: undefined, schedule: 'paused' },
      { current: runningRun('events') },
    );
    assert.deepEqual(commandsOf(running, "/srv/my config's.yaml").slice(0, 2), [
      `pgsluice cancel events --config '/srv/my config'\\''s.yaml'`,
      `pgsluice resume events --config '/srv/my config'\\''s.yaml'`,
    ]);
  });

  test('is there for archives of the config alone', () => {
    const parts = { ...new FakeDaemon({ archives: [archiveOf('events')] }).parts, configFile: SERVICE };
    assert.equal(describeArchive(parts, 'other'), undefined);
    assert.equal(describeArchive(parts, 'constructor'), undefined);
  });
});
