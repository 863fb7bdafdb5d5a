import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { Metrics, METRICS } from '../../../../src/daemon/view/metrics.ts';
import type { BoardEntry } from '../../../../src/daemon/run-board.ts';
import { describeSkip, type RunEnding } from '../../../../src/daemon/run-ending.ts';
import type { FailureCode } from '../../../../src/base/failures.ts';
import { RunProgress } from '../../../../src/work/progress.ts';
import type { StateParts } from '../../../../src/daemon/view/state.ts';
import { skipWithout } from '../../../support/needs.ts';

const CONFIG = path.join(import.meta.dirname, '../../../../config');
const skip = skipWithout('promtool');

/** A daemon with one archive, before its first run. */
function stateParts(): StateParts {
  const destination = { partBytes: 8 * 1024 ** 2, location: { kind: 's3', bucket: 'bucket', prefix: '' } };
  const workers = { threads: 2, maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };
  const archive = {
    destination: 'default',
    read: 'auto',
    compression: { codec: 'gzip', engine: 'auto' },
    segments: { on: 'here' },
  };
  const config = {
    workers,
    archives: { events: archive },
    destinations: { default: destination },
    patterns: { a: archive, b: archive },
  };
  return {
    generation: { config, place: { load: { active: 0, waiting: 0 }, hosts: [] } },
    board: { entries: [], entryOf: () => undefined, waitingOf: () => [] },
    schedule: { slotsOf: () => undefined, nextSlot: () => undefined },
    standings: { of: () => undefined },
    purges: { of: () => undefined },
    calendars: { summaryOf: () => undefined },
    audits: { of: () => undefined, currentOf: () => undefined },
    rehearsals: { of: () => undefined, currentOf: () => undefined },
    former: { found: [] },
    tables: { failing: [{ name: 'b' }] },
  } as unknown as StateParts;
}

function ending(parts: Partial<RunEnding>): RunEnding {
  return { ...describeSkip('events', '20261123T021500Z', 'schedule', 'busy'), ...parts };
}

async function exposition(): Promise<string> {
  const metrics = new Metrics(stateParts);
  metrics.ended(ending({ status: 'committed', reason: 'ok', rows: 10, bytes: 5, seconds: 2 }), {});
  metrics.ended(ending({ status: 'committed', reason: 'already-committed', rows: 10 }), {});
  metrics.ended(ending({}), {});
  metrics.delivered('ping', true);
  return (await metrics.text()).body;
}

/** Names of pgsluice's own metrics and of Prometheus' and Node's that a query uses, without the suffixes of a histogram. */
function namesIn(query: string): string[] {
  const names = query.replaceAll(/"[^"]*"/g, '').match(/\b(?:pgsluice|process|nodejs)_\w+/g) ?? [];
  return names.map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
}

describe('the metrics', () => {
  test('count each run once, and the rows of a run that was committed before not again', async () => {
    const text = await exposition();
    assert.match(text, /^pgsluice_runs_total\{archive="events",status="committed",reason="ok"\} 1$/m);
    assert.match(text, /^pgsluice_runs_total\{archive="events",status="skipped",reason="busy"\} 1$/m);
    assert.match(text, /^pgsluice_rows_total\{archive="events"\} 10$/m);
    assert.match(text, /^pgsluice_segments_total\{archive="events",outcome="done",reason="ok"\} 0$/m);
    assert.match(text, /^pgsluice_aborted_uploads_total\{archive="events"\} 0$/m);
    assert.match(text, /^pgsluice_run_duration_seconds_bucket\{le="5"\} 1$/m);
    assert.match(text, /^pgsluice_tables_failing\{entry="a"\} 0\npgsluice_tables_failing\{entry="b"\} 1$/m);
    assert.match(text, /^pgsluice_memory_limit_bytes \d{8,}$/m);
  });

  test('count requests that are sent again while the run is in progress, and not twice', async () => {
    const metrics = new Metrics(stateParts);
    const progress = new RunProgress('events', '20261123T021500Z', undefined);
    const failure = { code: 'throttled', stage: 'upload', transient: true, message: '', hint: '' } as const;
    for (const tries of [1, 2]) progress.trouble({ what: 'retried', request: 'PutObject of a', tries, failure });
    metrics.ended(ending({}), { progress });
    metrics.ended(ending({}), { progress });
    assert.match((await metrics.text()).body, /^pgsluice_s3_retries_total\{archive="events"\} 2$/m);
  });

  test('name the latest manifest of an archive, and only that one', async () => {
    const metrics = new Metrics(stateParts);
    metrics.hasHead('events', 'a'.repeat(64));
    const progress = new RunProgress('events', '20261123T021500Z', undefined);
    progress.becameHead('b'.repeat(64));
    metrics.ended(ending({}), { progress });
    const heads = (await metrics.text()).body.match(/^pgsluice_archive_head_info.*$/gm);
    assert.deepEqual(heads, [`pgsluice_archive_head_info{archive="events",sha256="${'b'.repeat(64)}"} 1`]);
  });

  test('count the windows of an archive by their states, once they were looked at', async () => {
    const parts = stateParts();
    const windows = async (): Promise<string[] | null> =>
      (await new Metrics(() => parts).text()).body.match(/^pgsluice_windows\{.* [1-9]\d*$/gm);
    assert.equal(await windows(), null);
    const summary = { asOf: '2026-01-01T00:00:00Z', counts: { archived: 31, missing: 2 } };
    parts.calendars = { summaryOf: () => summary };
    assert.deepEqual(await windows(), [
      'pgsluice_windows{archive="events",state="archived"} 31',
      'pgsluice_windows{archive="events",state="missing"} 2',
    ]);
    const { body } = await new Metrics(() => parts).text();
    assert.match(body, /^pgsluice_windows\{archive="events",state="failed"\} 0$/m);
  });

  test('say for how long nothing has moved in the run in progress, and nothing of it without one', async () => {
    const parts = stateParts();
    const stalledIn = async (): Promise<string | undefined> =>
      /^pgsluice_stalled_seconds.*$/m.exec((await new Metrics(() => parts).text()).body)?.[0];
    assert.equal(await stalledIn(), undefined);
    const entry = { state: 'running', progress: { stall: { seconds: 340, waitsFor: [] } } };
    parts.board = { ...parts.board, entryOf: () => entry as unknown as BoardEntry };
    assert.equal(await stalledIn(), 'pgsluice_stalled_seconds{archive="events"} 340');
  });

  test('count failures by their declared codes, and any other as other', async () => {
    const metrics = new Metrics(stateParts);
    const progress = new RunProgress('events', '20261123T021500Z', undefined);
    for (const code of ['throttled', 'of tomorrow', 'throttled', '20261123T021500Z', 'of tomorrow', 'throttled'])
      progress.fail(0, { code: code as FailureCode, stage: 'read', transient: true, message: '', hint: '' }, false);
    metrics.ended(ending({ status: 'failed', reason: 'disk-full' }), { progress });
    metrics.ended(ending({ status: 'failed', reason: 'the disk /srv is full' }), {});
    const { body } = await metrics.text();
    const counted = body.match(/^pgsluice_(?:runs|segments)_total\{.*outcome="failed".*|^pgsluice_runs_total\{.*/gm);
    assert.deepEqual(counted, [
      'pgsluice_runs_total{archive="events",status="failed",reason="disk-full"} 1',
      'pgsluice_runs_total{archive="events",status="failed",reason="other"} 1',
      'pgsluice_segments_total{archive="events",outcome="failed",reason="throttled"} 3',
      'pgsluice_segments_total{archive="events",outcome="failed",reason="other"} 3',
    ]);
  });

  test('have no labels whose values know no bound, but a digest, of which an archive has one at a time', () => {
    const labels = new Set(METRICS.flatMap((metric) => [...metric.labels] as string[]));
    const allowed = [
      'version',
      'node',
      'archive',
      'entry',
      'status',
      'reason',
      'outcome',
      'kind',
      'result',
      'slot',
      'sha256',
      'state',
    ];
    assert.deepEqual([...labels].sort(), allowed.sort());
  });

  test('are in good form for Prometheus', { skip }, async () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await exposition(),
      encoding: 'utf8',
    });
    // What it has to say of the names that prom-client gives to Node's own is not ours.
    const ours = (stdout + stderr).split('\n').filter((line) => line.startsWith('pgsluice_'));
    assert.deepEqual(ours, []);
    assert.ok(status !== 1, stderr);
  });
});

describe('what is shipped for Prometheus and Grafana', () => {
  const alerts = readFileSync(path.join(CONFIG, 'alerts.yml'), 'utf8');
  const dashboard = readFileSync(path.join(CONFIG, 'grafana-dashboard.json'), 'utf8');

  test('names only metrics that exist', async () => {
    const text = await exposition();
    const known = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
    const rules = (parse(alerts) as { groups: { rules: { expr: string }[] }[] }).groups.flatMap((group) => group.rules);
    const queries = [...dashboard.matchAll(/"(?:expr|query)": ("(?:[^"\\]|\\.)*")/g)].map(
      ([, query = '""']) => JSON.parse(query) as string,
    );
    assert.ok(rules.length >= 7 && queries.length >= 14);
    for (const query of [...rules.map(({ expr }) => expr), ...queries])
      for (const name of namesIn(query)) assert.ok(known.has(name), `${name} in ${query}`);
  });

  test('has a panel for each metric by which an archive is trusted', () => {
    const trusted = METRICS.map(({ name }) => name).filter((name) => /proof|proved|rehears|head|former/.test(name));
    assert.ok(trusted.length >= 15, trusted.join());
    const drawn = new Set(dashboard.match(/pgsluice_[a-z_]+/g));
    assert.deepEqual(
      trusted.filter((name) => !drawn.has(name)),
      [],
    );
  });

  test('has rules that Prometheus loads', { skip }, () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', path.join(CONFIG, 'alerts.yml')], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout + stderr);
  });

  test('has a dashboard whose panels do not lie over each other, each with a query', () => {
    const { panels } = JSON.parse(dashboard) as {
      panels: {
        id: number;
        title: string;
        gridPos: Record<'x' | 'y' | 'w' | 'h', number>;
        targets: { expr: string }[];
      }[];
    };
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const [index, { title, gridPos: a, targets }] of panels.entries()) {
      assert.ok(targets.length > 0 && a.x + a.w <= 24, title);
      for (const { gridPos: b, title: other } of panels.slice(index + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        assert.ok(apart, `${title} and ${other}`);
      }
    }
  });
});
