// @ts-check
/** Addresses of the page's views. */

/**
 * A run's own page.
 * @param {string} archive
 * @param {string} run
 */
export function runPath(archive, run) {
  return `#/runs/${encode(archive)}/${encode(run)}`;
}

/**
 * An archive's own page.
 * @param {string} archive
 */
export function archivePath(archive) {
  return `#/archives/${encode(archive)}`;
}

/**
 * The history of one archive.
 * @param {string} archive
 */
export function historyPath(archive) {
  return archive === '' ? '#/' : `#/history/${encode(archive)}`;
}

/**
 * The parts of an address: the view, the archive, the run.
 * @param {string} hash
 */
export function readPath(hash) {
  const [, view = '', archive = '', run = ''] = hash.split('/').map(decode);
  return { view, archive, run };
}

/**
 * As part of a path, also of the API. Half a character, which has no encoding, is left out.
 * @param {string} part
 */
export function encode(part) {
  return encodeURIComponent(part.toWellFormed());
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
