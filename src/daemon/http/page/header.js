/** The top of the page: who this is, how fresh it is, and what is wrong with the link. */
import { setAttribute, setText } from './dom.js';
import { age, clock, duration, plural } from './format.js';

const PHASES = { connecting: 'Connecting', live: 'Live', stale: 'Stale', disconnected: 'Disconnected' };

export function createHeader(retry) {
  const part = (id) => document.getElementById(id);
  part('banner-retry').addEventListener('click', retry);
  let link = { phase: 'connecting' };
  let state;

  const setLink = (changed) => {
    link = changed;
    const { phase, lastAt, problem } = link;
    setAttribute(part('link'), 'data-phase', phase === 'live' && state?.stopping ? 'stopping' : phase);
    setAttribute(document.body, 'data-phase', phase);
    setText(part('link-text'), linkText());
    const broken = phase === 'stale' || phase === 'disconnected';
    part('banner').hidden = !broken && !state?.stopping;
    setAttribute(part('banner'), 'data-tone', broken ? 'bad' : 'warn');
    part('banner-retry').hidden = phase !== 'disconnected';
    if (broken) {
      setText(
        part('banner-title'),
        lastAt === undefined ? 'No data from the daemon.' : `Stale since ${clock(lastAt)}.`,
      );
      setText(
        part('banner-text'),
        [`${sentence(problem?.message ?? 'no news from the daemon')}.`, problem?.hint].filter(Boolean).join(' '),
      );
    } else {
      setText(part('banner-title'), 'The daemon is stopping.');
      setText(part('banner-text'), 'No new runs start; those that are on may end.');
    }
    setTitle();
    tick();
  };
  const linkText = () => {
    if (link.phase === 'live' && state?.stopping) return `Stopping · ${clock(link.lastAt)}`;
    if (link.lastAt === undefined) return PHASES[link.phase];
    return `${PHASES[link.phase]} · ${link.phase === 'live' ? '' : 'since '}${clock(link.lastAt)}`;
  };
  const update = (changed) => {
    state = changed;
    setText(part('version'), state.version);
    setText(part('host'), state.host);
    setText(part('uptime'), `up ${duration((Date.parse(state.now) - Date.parse(state.startedAt)) / 1000)}`);
    setAttribute(part('host'), 'title', `process ${state.pid} on ${state.host}, up since ${state.startedAt}`);
  };
  const setTitle = () => {
    const failing =
      state?.archives.filter((archive) => archive.state === 'failing' || archive.state === 'late').length ?? 0;
    const mark = link.phase === 'disconnected' ? '(disconnected) ' : failing > 0 ? `(${failing}) ` : '';
    const title = `${mark}pgsluice${state === undefined ? '' : ` · ${state.host}`}`;
    if (document.title !== title) document.title = title;
  };
  const tick = () => {
    const seconds = Math.max(0, Math.ceil(((link.retryAt ?? 0) - Date.now()) / 1000));
    const wait = link.phase === 'disconnected' ? `Next try in ${plural(seconds, 'second')}.` : '';
    const old =
      link.phase === 'stale' && link.lastAt !== undefined
        ? `The data is from ${age((Date.now() - link.lastAt) / 1000)}.`
        : '';
    setText(part('banner-wait'), wait || old);
  };
  return { setLink, update, tick };
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, '');
}
