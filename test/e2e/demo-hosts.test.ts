import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HostsReport } from '../../src/demo/hosts-report.ts';
import { startCli } from '../support/cli.ts';
import { runHere } from '../support/here.ts';

describe('the demo over several hosts', () => {
  test('archives all though a worker is killed, and tells who did what', async () => {
    const demo = startCli(['demo', '--rows', '1500', '--hosts', '2', '--json']);
    const { code, stdout, stderr } = await demo.ended();
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as { status: string; objects: number; equal: boolean; hosts: HostsReport };
    assert.deepEqual([result.status, result.equal], ['committed', true]);
    const { workers, lost } = result.hosts;
    assert.deepEqual(workers.map(({ killed }) => killed).toSorted(), [false, true]);
    const done = workers.flatMap(({ segments }) => segments).toSorted((a, b) => a - b);
    assert.deepEqual(
      done,
      Array.from({ length: result.objects }, (_, at) => at),
    );
    const killed = workers.find((worker) => worker.killed)?.pid;
    // None is lost where the worker had just told of its last one.
    for (const { pid, doneByPid } of lost) {
      assert.equal(pid, killed);
      assert.ok(workers.some((worker) => worker.pid === doneByPid && !worker.killed));
    }
  });

  test('refuses a number that shows nothing, and the daemon besides', async () => {
    for (const options of [
      ['--hosts', '1'],
      ['--hosts', '17'],
      ['--hosts', 'x'],
      ['--hosts', '3', '--serve'],
    ]) {
      const { code, stderr } = await runHere(['demo', ...options]);
      assert.equal(code, 2);
      assert.match(stderr, /--hosts/);
    }
  });
});
