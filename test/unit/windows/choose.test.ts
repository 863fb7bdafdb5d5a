import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../../src/base/errors.ts';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import { requireWindowChoice } from '../../../src/windows/choose.ts';

describe('windows by their dates', () => {
  const archive = { name: 'events', timezone: 'Europe/Berlin', window: {} } as ArchiveConfig;
  const choose = (from: string, to: string) => (): void => {
    requireWindowChoice(archive, { from, to });
  };

  test('are chosen by dates in their order, and within one day', () => {
    for (const [from, to] of [
      ['2024-01-31', '2024-02-01'],
      ['2024-01-31', '2024-01-31'],
    ] as const)
      assert.doesNotThrow(choose(from, to));
  });

  test('are not chosen by dates in the wrong order, which would find none, as if there were nothing to do', () => {
    for (const [from, to] of [
      ['2024-02-01', '2024-01-31'],
      ['2024-01-31T12:00', '2024-01-31'],
    ] as const)
      assert.throws(
        choose(from, to),
        (error) => error instanceof UsageError && error.message.startsWith(`--from ${from} is behind --to ${to}`),
      );
  });
});
