/** The rooms of src, who may import what, and why: one ordered list for files, one list for packages. */
import path from 'node:path';

/** From the top down. A file imports from its own room and from those below; the reason is what a violation shows. */
export const ROOMS = [
  ['tools', 'makes docs and schemas from the declarations; it is not shipped, and nothing imports it'],
  ['bin.ts', 'starts the program on a Node that can run it; nothing imports it'],
  ['cli.ts', 'gives the command line what the process has; nothing imports it'],
  ['thread.ts', 'starts a thread of the package with its compiled code; nothing imports it'],
  ['command-line.ts', 'turns argv into one command, in whatever process'],
  ['commands', 'a command is a list of steps; what is below does not know who called it'],
  ['demo', 'brings servers along for the demo, the tests and the benchmark; the product does without'],
  ['init', 'looks at a database, and writes a first config; nothing that runs by a config knows how it was written'],
  ['daemon', 'decides when; what is below does not know of schedules, alarms and pages'],
  ['audit', 'looks at archives that are long since committed; neither a run nor a purge knows of it'],
  ['purge', 'is the story of a purge; what proves an archive does not know what is done with the proof'],
  ['restore', 'is the story of a restore; archiving does not know of it'],
  ['verify', 'proves what was archived; making an archive does not need it'],
  ['windows', 'finds which windows an archive lacks, and has them made; a run knows its own window alone'],
  ['run', 'is the story of a run; what is below is called by it and calls nobody back'],
  ['work', 'hands tasks to the threads; it knows neither plans nor manifests'],
  ['pace', 'says when work on a database may go on; it knows neither runs nor purges'],
  ['ledger', 'is all that lies in the bucket beside the data; it reads and writes, and decides nothing'],
  ['segment', 'is the data plane: it gets plain data in a task, and does not reach into the control plane'],
  ['format', 'is how rows become bytes and back; it opens nothing'],
  ['store', 'is the one narrow interface to destinations'],
  ['config', 'declares each option once'],
  ['postgres', 'is the adapter to the server'],
  ['calendar', 'is the arithmetic of zones and windows; it asks neither a clock nor a server'],
  ['base', 'is the bottom, and imports nothing of ours'],
];

/** Outside packages, the only places that may import them, and the reason. A place is a folder, which ends in `/`, or a file. */
const PACKAGES = [
  ['commander', ['command-line.ts'], 'only command-line.ts knows the CLI library; a command is a plain function'],
  ['yaml', ['config/'], 'only config/ reads YAML'],
  [
    'zod',
    ['config/', 'ledger/', 'tools/', 'work/hosts/'],
    'schemas are declared in config/ for what is written, in ledger/ for what is stored, in work/hosts/ for the queue',
  ],
  [
    'node-cron',
    ['daemon/slots/', 'config/cron.ts'],
    'only daemon/slots/ (and config/cron.ts, to validate) knows its quirks',
  ],
  ['pg-boss', ['work/hosts/queue.ts'], 'only work/hosts/queue.ts knows the queue; it is optional, and loaded by need'],
  ['prom-client', ['daemon/view/metrics.ts'], 'each metric is declared once, there'],
  [
    'piscina',
    ['work/threads.ts'],
    'only work/threads.ts knows of threads; all others see the interface in work/place.ts',
  ],
  ['@aws-sdk', ['store/s3/'], 'only store/s3/ knows the SDK; all others see the narrow interface in store/store.ts'],
  ['@smithy', ['store/s3/'], 'only store/s3/ knows the SDK; all others see the narrow interface in store/store.ts'],
  [
    'pino',
    ['base/log.ts'],
    'only base/log.ts knows pino, so that every line is cleaned of secrets; import the type Log from there',
  ],
  [
    'koffi',
    ['base/', 'format/compress/isal.ts', 'daemon/systemd/'],
    'native calls stand where there is a way without them',
  ],
  ['fastest-levenshtein', ['base/suggest.ts'], 'what is near enough for a "did you mean" is decided once'],
  ['pg', ['postgres/', 'segment/source/', 'demo/'], 'they set what must be set on each connection'],
  [
    'pg-cursor',
    ['segment/source/', 'postgres/distinct-values.ts'],
    'only segment/source/ reads rows; of these, the control plane lists the values that folders are named by',
  ],
];

/** The rule `layers/imports`, to be set to `error` for src. */
const imports = {
  meta: { type: 'problem', schema: [], messages: { room: '{{reason}}', package: '{{reason}}' } },
  create(context) {
    const file = path.relative(path.join(context.cwd, 'src'), context.filename).replaceAll(path.sep, '/');
    const check = (source) => {
      if (source === null || source?.type !== 'Literal' || typeof source.value !== 'string') return;
      const problem = source.value.startsWith('.')
        ? describeRoom(file, source.value)
        : describePackage(file, source.value);
      if (problem !== undefined) context.report({ node: source, message: problem });
    };
    return {
      ImportDeclaration: ({ source }) => check(source),
      ExportNamedDeclaration: ({ source }) => check(source),
      ExportAllDeclaration: ({ source }) => check(source),
      ImportExpression: ({ source }) => check(source),
      TSImportType: ({ source }) => check(source),
      'CallExpression[callee.type="CallExpression"][callee.callee.name="createRequire"]': (node) =>
        check(node.arguments[0]),
    };
  },
};

/** The plugin of the linter. */
export default { meta: { name: 'layers' }, rules: { imports } };

function describeRoom(file, specifier) {
  const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier));
  const from = indexOfRoom(file);
  const to = indexOfRoom(target);
  if (from === -1 || to === -1) return `${from === -1 ? file : target} is in no room of .config/layers.js`;
  if (to >= from) return undefined;
  return `${roomOf(file)} is below ${roomOf(target)} and may not import from it: ${roomOf(file)} ${ROOMS[from][1]}.`;
}

function describePackage(file, specifier) {
  const rule = PACKAGES.find(([name]) => specifier === name || specifier.startsWith(`${name}/`));
  if (rule === undefined) return undefined;
  const [name, places, reason] = rule;
  const allowed = places.some((place) => (place.endsWith('/') ? file.startsWith(place) : file === place));
  return allowed ? undefined : `${name} may be imported in ${places.join(', ')} alone: ${reason}.`;
}

function roomOf(file) {
  return file.split('/')[0];
}

function indexOfRoom(file) {
  return ROOMS.findIndex(([name]) => name === roomOf(file));
}
