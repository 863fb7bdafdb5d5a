import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportEnding, type Reporters } from '../../../src/daemon/report-ending.ts';
import { describeSkip, type RunEnding } from '../../../src/daemon/run-ending.ts';

const RUN = '20261123T021500Z';

/** Whoever hears of a run's end; `heard` has what each was told, in its order. */
function listeners(): { to: Reporters; heard: [who: string, status: string][] } {
  const heard: [string, string][] = [];
  const hears = (who: string) => (ending: RunEnding) => void heard.push([who, ending.status]);
  const to = {
    history: { add: hears('history') },
    live: { ended: () => void heard.push(['live', '']) },
    standings: { of: () => undefined, settledUntil: () => undefined, ended: hears('standings') },
    metrics: { ended: hears('metrics') },
    alarms: { ended: hears('alarms') },
    due: { ended: hears('due') },
  } as unknown as Reporters;
  return { to, heard };
}

for (const status of ['committed', 'failed', 'skipped'] as const)
  test(`the end of a run that is ${status} is told once to the history, the metrics, the alarms and all others`, () => {
    const { to, heard } = listeners();
    reportEnding(to, { ...describeSkip('events', RUN, 'schedule', 'busy'), status }, {});
    assert.deepEqual(heard, [
      ['history', status],
      ['live', ''],
      ['standings', status],
      ['metrics', status],
      ['alarms', status],
      ['due', status],
    ]);
  });
