import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeNextSlots, nextSlots } from '../../../src/commands/next-slots.ts';
import { formatLocalTime } from '../../../src/base/units.ts';

test('the next three slots are said in words by the clock of this machine, whatever its zone', () => {
  const now = new Date(2026, 10, 26, 23, 0);
  const two = (value: number): string => String(value).padStart(2, '0');
  const { timeZone: timezone } = Intl.DateTimeFormat().resolvedOptions();
  const words = (schedule: string): string[] => nextSlots({ schedule, timezone }, now).map((slot) => slot.words);
  assert.deepEqual(words('30 23 * * *').slice(0, 2), ['today at 23:30, in 30m 00s', 'tomorrow at 23:30, in 24h 30m']);
  assert.match(words('30 23 * * *')[2] ?? '', /^on Saturday at 23:30, in 2 days$/);
  assert.match(words('15 30 23 * * *')[0] ?? '', /^today at 23:30:15, in 30m 15s$/);
  assert.match(words('0 12 1 6 *')[0] ?? '', /^on Tuesday 2027-06-01 at 12:00, in 18[67] days$/);
  const [first] = nextSlots({ schedule: `0 ${two(0)} * * *`, timezone: 'Asia/Kathmandu' }, now);
  assert.equal(first?.local, formatLocalTime(new Date(first?.at ?? '')));
});

test('an archive that runs by hand has none', () => {
  assert.deepEqual(nextSlots({ schedule: undefined, timezone: 'UTC' }, new Date()), []);
  assert.deepEqual(describeNextSlots([]), []);
});
