// @ts-check
/** The top of the page: who this is, how fresh it is, and what is wrong with the link. */
import { byId, setAttribute, setText } from './dom.js';
import { age, clock, duration, ownZone, plural, utc } from './format.js';
import { cut } from './text.js';
import { troublesOf } from './trouble.js';

/**
 * @import { Link, Phase } from './connection.js'
 * @import { State } from '../../view/state.ts'
 */

/** @type {Record<Phase, { words: string, tone: string }>} */
const PHASES = {
  connecting: { words: 'Connecting', tone: 'none' },
  live: { words: 'Live', tone: 'good' },
  stale: { words: 'Stale', tone: 'warn' },
  disconnected: { words: 'Disconnected', tone: 'bad' },
};

const MOST_OF_A_NAME = 100;
const MOST_OF_A_PROBLEM = 300;

/** @param {() => void} retry */
export function createHeader(retry) {
  const [element, banner, again] = [byId('top'), byId('banner'), byId('banner-retry')];
  again.addEventListener('click', retry);
  /** @type {Link} */
  let link = { phase: 'connecting' };
  /** @type {State | undefined} */
  let state;

  const setLink = (/** @type {Link} */ changed) => {
    link = changed;
    const { phase } = link;
    const isStopping = phase === 'live' && state?.stopping === true;
    const isBroken = phase === 'stale' || phase === 'disconnected';
    setAttribute(byId('link'), 'data-tone', isStopping ? 'warn' : PHASES[phase].tone);
    setText(byId('link-text'), linkText(link, isStopping));
    banner.hidden = !isBroken && !isStopping;
    setAttribute(banner, 'data-tone', isBroken ? 'bad' : 'warn');
    again.hidden = phase !== 'disconnected';
    setText(byId('banner-title'), isBroken ? sinceWhen(link) : 'The daemon is stopping.');
    setText(byId('banner-text'), isBroken ? whyBroken(link) : 'No new runs start; those in progress may end.');
    const title = titleOf(link, state);
    if (document.title !== title) document.title = title;
    tick();
  };
  const update = (/** @type {State} */ changed) => {
    state = changed;
    setText(byId('version'), cut(state.version, MOST_OF_A_NAME));
    setText(byId('host'), cut(state.host, MOST_OF_A_NAME));
    setText(byId('uptime'), `up ${duration((Date.parse(state.now) - Date.parse(state.startedAt)) / 1000)}`);
    setAttribute(byId('host'), 'title', `process ${state.pid} on ${state.host}, up since ${utc(state.startedAt)}`);
    setText(byId('zone'), `times in ${ownZone()}`);
    setAttribute(byId('zone'), 'title', 'those of this browser; each has UTC on hover');
  };
  const tick = () => {
    setText(byId('banner-wait'), waitText(link));
  };
  return { element, setLink, update, tick };
}

/**
 * @param {Link} link
 * @param {boolean} isStopping
 */
function linkText({ phase, lastAt }, isStopping) {
  const { words } = PHASES[phase];
  if (lastAt === undefined) return words;
  if (phase === 'live') return `${isStopping ? 'Stopping' : words} · ${clock(lastAt)}`;
  return `${words} · since ${clock(lastAt)}`;
}

/** @param {Link} link */
function sinceWhen({ lastAt }) {
  return lastAt === undefined ? 'No data from the daemon.' : `Stale since ${clock(lastAt)}.`;
}

/** @param {Link} link */
function whyBroken({ problem }) {
  const text = problem?.message ?? 'no news from the daemon';
  const sentence = `${text.charAt(0).toUpperCase()}${cut(text.slice(1).replace(/\.$/, ''), MOST_OF_A_PROBLEM)}.`;
  return problem?.hint === undefined ? sentence : `${sentence} ${cut(problem.hint, MOST_OF_A_PROBLEM)}`;
}

/** @param {Link} link */
function waitText({ phase, retryAt, lastAt }) {
  if (phase === 'disconnected') {
    const seconds = Math.max(0, Math.ceil(((retryAt ?? 0) - Date.now()) / 1000));
    return `Next try in ${plural(seconds, 'second')}.`;
  }
  if (phase === 'stale' && lastAt !== undefined) return `The data is from ${age((Date.now() - lastAt) / 1000)}.`;
  return '';
}

/**
 * @param {Link} link
 * @param {State | undefined} state
 */
function titleOf({ phase }, state) {
  const bad =
    state?.archives.filter((archive) => troublesOf(archive).some((trouble) => trouble !== 'held')).length ?? 0;
  const mark = phase === 'disconnected' ? '(disconnected) ' : bad > 0 ? `(${bad}) ` : '';
  return `${mark}pgsluice${state === undefined ? '' : ` · ${cut(state.host, MOST_OF_A_NAME)}`}`;
}
