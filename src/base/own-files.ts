/**
 * Where this program's own files are: below src in a checkout, and below dist in the package. There each bundle lies in a
 * folder of dist, as each module here lies in a folder of src, so that the way up is the same.
 */
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const entries = { folder: ROOT, ending: path.extname(import.meta.filename) };

/** The path of a file or a folder, such as `daemon/http/page`. */
export function ownFile(name: string): string {
  return path.join(ROOT, name);
}

/** The path of a module that is an entry of its own, named without its ending: `segment/worker`. */
export function ownModule(name: string): string {
  return path.join(entries.folder, `${name}${entries.ending}`);
}

/** For tests, which start many threads from the sources: a thread loads its bundle in half the time. `folder` is a `dist`. */
export function takeEntriesFrom(folder: string): void {
  entries.folder = folder;
  entries.ending = '.js';
}
