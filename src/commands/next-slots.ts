/** When an archive runs next, for people: by the clock of this machine, in words. */
import { formatDays, formatLocalTime } from '../base/units.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import { Slots } from '../daemon/slots/slots.ts';

export interface NextSlot {
  /** In UTC. */
  at: string;
  /** By the clock of this machine. */
  local: string;
  /** `tomorrow at 02:15, in 9h 20m`. */
  words: string;
}

const SHOWN = 3;
const DAY_MS = 86_400_000;
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** The next three slots after `now`; fewer where the schedule has no more, none for an archive that runs by hand. */
export function nextSlots({ schedule, timezone }: Pick<ArchiveConfig, 'schedule' | 'timezone'>, now: Date): NextSlot[] {
  if (schedule === undefined) return [];
  const slots = new Slots(schedule, timezone);
  const found: NextSlot[] = [];
  for (let slot = slots.next(now); slot !== undefined && found.length < SHOWN; slot = slots.next(slot))
    found.push({ at: slot.toISOString(), local: formatLocalTime(slot), words: describe(slot, now) });
  return found;
}

/** `next: today at 14:00, in 5m 00s; tomorrow …`, with the zone of this machine. */
export function describeNextSlots(slots: readonly NextSlot[]): string[] {
  if (slots.length === 0) return [];
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return [`    next: ${slots.map(({ words }) => words).join('; ')} (${timeZone})`];
}

function describe(slot: Date, now: Date): string {
  const [day, time = ''] = formatLocalTime(slot).split(' ');
  const seconds = slot.getSeconds() === 0 ? time.slice(0, 5) : time;
  const days = Math.round((midnightOf(slot) - midnightOf(now)) / DAY_MS);
  const name = DAYS[slot.getDay()] ?? '';
  const when = days === 0 ? 'today' : days === 1 ? 'tomorrow' : days < 7 ? `on ${name}` : `on ${name} ${day ?? ''}`;
  return `${when} at ${seconds}, in ${formatDays(slot.getTime() - now.getTime())}`;
}

/** Of the local day, as if it were of UTC: a day may have 23 hours. */
function midnightOf(instant: Date): number {
  return Date.UTC(instant.getFullYear(), instant.getMonth(), instant.getDate());
}
