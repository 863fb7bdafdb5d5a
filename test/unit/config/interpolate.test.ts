import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { secretValues } from '../../../src/config/secrets.ts';
import {
  ARCHIVES,
  assertProblems,
  DESTINATIONS,
  folder,
  load,
  MINIMAL,
  problemsOf,
  SOURCES,
  write,
} from './support.ts';

const SECRET = 'hunter2-is-secret';

function whereOf(text: string, environment: NodeJS.ProcessEnv = {}): string | undefined {
  return load(`${SOURCES}\n${DESTINATIONS}\narchives:\n  a:\n    table: t\n    where: ${text}`, environment).archives[
    'a'
  ]?.where;
}

const VALUES: [title: string, text: string, value: string][] = [
  ['a variable', '${A}', 'alpha'],
  ['variables between other text', 'x = ${A} or y = ${B}!', 'x = alpha or y = beta: [1]!'],
  ['what looks like YAML, without reading it as such', '${B}', 'beta: [1]'],
  ['what looks like a reference, without following it', '${C}', '${A}'],
  ['an escaped reference, which stays', '$${A} ${A}', '${A} alpha'],
  ['a lone dollar sign, which stays', '"$x $$ $A"', '$x $$ $A'],
  ['a quoted reference', "'${A}'", 'alpha'],
  ['a default where nothing is set', '${NOPE:-fall back}', 'fall back'],
  ['a default where what is set is empty', '${EMPTY:-fall back}', 'fall back'],
  ['what is set, and not its default', '${A:-fall back}', 'alpha'],
  ['a default that is empty', 'x${NOPE:-}y', 'xy'],
  ['a default with braces, as a shell reads them', "'${NOPE:-{a\\}} ${A}'", '{a} alpha'],
  ['a default with backslashes, as a shell reads them', "'${NOPE:-C:\\dir\\\\} ${A}'", 'C:\\dir\\ alpha'],
  ['a default that looks like one', "'${NOPE:-:-$${A\\}}'", ':-${A}'],
  ['a default of several lines', '|-\n      ${NOPE:-one\n      two}', 'one\ntwo'],
  ['a reference in a block', '|-\n      one\n      ${A}', 'one\nalpha'],
];

for (const [title, text, value] of VALUES) {
  test(`puts in ${title}`, () => {
    assert.equal(whereOf(text, { A: 'alpha', B: 'beta: [1]', C: '${A}', EMPTY: '' }), value);
  });
}

for (const [title, content, value] of [
  ['without its line break', 'secret\n', 'secret'],
  ['without a Windows line break', 'secret\r\n', 'secret'],
  ['with all line breaks but one', 'secret\n\n', 'secret\n'],
  ['as it is without one', 'se cret', 'se cret'],
] as const) {
  test(`puts in the content of a file ${title}`, () => {
    assert.equal(whereOf(`\${file:${write(content, 'secret')}}`), value);
  });
}

test('text that is put in becomes a number or a boolean where one is expected', () => {
  const environment = { THREADS: '3', STYLE: 'true', SIZE: '16MiB', ATTEMPTS: ' 7 ', LEVEL: 'debug' };
  const config = load(
    `${SOURCES}
destinations: { default: { url: s3://bucket, forcePathStyle: "\${STYLE}", partSize: "\${SIZE}" } }
archives: { a: { table: t, retry: { attempts: &n "\${ATTEMPTS}" }, segments: { parallel: *n } } }
workers: { threads: "\${THREADS}" }
log: { level: "\${LEVEL}" }`,
    environment,
  );
  assert.equal(config.workers.threads, 3);
  assert.equal(config.destinations['default']?.forcePathStyle, true);
  assert.equal(config.destinations['default'].partBytes, 16 * 1024 ** 2);
  assert.equal(config.archives['a']?.retry.attempts, 7);
  assert.equal(config.archives['a'].segments.parallel, 7);
  assert.equal(config.log.level, 'debug');
});

test('a default becomes a number where one is expected, and its secrets are known as such', () => {
  const config = load(
    `sources: { default: { url: "postgres://u:\${PW:-hunter2-by-default}@h/db" } }
${DESTINATIONS}\n${ARCHIVES}\nworkers: { threads: "\${THREADS:-3}" }`,
  );
  assert.equal(config.workers.threads, 3);
  assert.ok(secretValues(config).includes('hunter2-by-default'));
});

test('text that is put in stays text where text is expected', () => {
  const config = load(`${SOURCES}\n${DESTINATIONS}\narchives: { a: { query: q, params: ["\${N}"] } }`, {
    N: '9007199254740993',
  });
  assert.deepEqual(config.archives['a']?.params, ['9007199254740993']);
});

test('keys are not interpolated', () => {
  assertProblems(
    `${MINIMAL}\n▸\${A}: 1`,
    [
      '${A}: unknown key; known are: sources, destinations, archives, audits, workers, hosts, http, notify, log, control, state, drainTimeout',
    ],
    { A: 'log' },
  );
});

const ERRORS: [title: string, text: string, messages: string[]][] = [
  [
    'a missing variable',
    '${A} ▸${NOPE}',
    ['the environment variable NOPE is not set; set it where pgsluice is started'],
  ],
  [
    'a variable that only objects have',
    '▸${constructor}',
    ['the environment variable constructor is not set; set it where pgsluice is started'],
  ],
  [
    'two missing variables in one value',
    '▸${NOPE} ▸${NIX}',
    [
      'the environment variable NOPE is not set; set it where pgsluice is started',
      'the environment variable NIX is not set; set it where pgsluice is started',
    ],
  ],
  [
    'a missing variable in a block',
    '|\n      ${A}\n      x ▸${NOPE}',
    ['the environment variable NOPE is not set; set it where pgsluice is started'],
  ],
  [
    'a missing variable behind an escape, where the place cannot be told',
    '▸"\\x24{NOPE} ${A}"',
    ['the environment variable NOPE is not set; set it where pgsluice is started'],
  ],
  [
    'a missing variable in a key that is not known',
    'x\n    ▸wehre: ▸${NOPE}',
    [
      'archives.a.wehre: unknown key; did you mean "where"?',
      'the environment variable NOPE is not set; set it where pgsluice is started',
    ],
  ],
  [
    'a bad name',
    '▸${A-B}',
    ['a reference must be ${NAME}, ${NAME:-default} or ${file:/path}; write $${ for a literal "${"'],
  ],
  [
    'a variable whose name is like that of one that is set',
    '▸${ALHPA_URL}',
    ['the environment variable ALHPA_URL is not set; did you mean "ALPHA_URL", which is set?'],
  ],
  [
    'a reference within a default',
    '▸${NOPE:-hunter2${A}}',
    ['the default of ${NOPE:-…} cannot hold a reference of its own; write $${ for a literal "${"'],
  ],
  [
    'a reference within a default that is not taken',
    '▸${A:-${B}}',
    ['the default of ${A:-…} cannot hold a reference of its own; write $${ for a literal "${"'],
  ],
  ['an open default', "'▸${A:-x\\}'", ['"${" has no closing "}"; write $${ for a literal "${"']],
  ['an open reference', 'x ▸${A', ['"${" has no closing "}"; write $${ for a literal "${"']],
  ['a relative file', '▸${file:secret}', ['a reference to a file must have an absolute path, ${file:/path}']],
  [
    'a missing file',
    `▸\${file:${path.join(folder, 'nope')}}`,
    [`${path.join(folder, 'nope')} cannot be read: it does not exist; create it, or let this user read it`],
  ],
  [
    'a folder',
    `▸\${file:${folder}}`,
    [`${folder} cannot be read: it is a folder; create it, or let this user read it`],
  ],
];

for (const [title, text, messages] of ERRORS) {
  test(`${title} is an error at its place, and only there`, () => {
    assertProblems(`${SOURCES}\n${DESTINATIONS}\narchives:\n  a:\n    table: t\n    where: ${text}`, messages, {
      A: 'alpha',
      ALPHA_URL: 'x',
    });
  });
}

test('a file of more than 1 MiB is refused', () => {
  const file = write('x'.repeat(1024 ** 2 + 1), 'large');
  assertProblems(`${MINIMAL}\nstate: ▸\${file:${file}}`, [
    `${file} cannot be read: it is larger than 1 MiB; create it, or let this user read it`,
  ]);
});

test('a required option whose variable is missing is not reported once more', () => {
  const text = `${ARCHIVES}\nsources: { default: { url: "▸\${NOPE}" } }\ndestinations: { default: { url: "▸\${NIX}" } }`;
  assertProblems(text, [
    'the environment variable NOPE is not set; set it where pgsluice is started',
    'the environment variable NIX is not set; set it where pgsluice is started',
  ]);
});

test('no problem echoes a value that came in by a reference', () => {
  const options = [
    'url',
    'region',
    'endpoint',
    'forcePathStyle',
    'accessKeyId',
    'partSize',
    'storageClass',
    'serverSideEncryption',
    'kmsKeyId',
    'tags',
    'checksums',
    'bogus',
  ];
  const archive = [
    'source',
    'destination',
    'query',
    'table',
    'params',
    'columns',
    'key',
    'schedule',
    'timezone',
    'segments',
    'compression',
    'contentEncoding',
    'read',
    'retry',
  ];
  const text = (value: string) => `sources: { default: { url: ${value} } }
destinations: { default: { ${options.map((option) => `${option}: ${value}`).join(', ')} } }
archives: { a: { ${archive.map((option) => `${option}: ${value}`).join(', ')} } }
workers: { threads: ${value} }
http: { listen: ${value} }
log: { level: ${value} }
state: ${value}
drainTimeout: ${value}`;
  for (const problems of [
    problemsOf(text('"${SECRET}"'), { SECRET }),
    problemsOf(text(`"\${NOPE:-${SECRET}}"`)),
    problemsOf(text(`${SECRET}: "`)),
  ]) {
    assert.ok(problems.length > 0);
    assert.ok(!problems.join('\n').includes('hunter2'), problems.join('\n'));
  }
  assert.ok(problemsOf(text('"${SECRET}"'), { SECRET }).length > 25);
});

test('a problem shows a value that stands in the file, but no secret, nor what may have one', () => {
  const problems = problemsOf(`sources: { default: { url: ${SECRET} } }
destinations:
  default: { url: "s3://Acme_Archive/pg", endpoint: "http://u:${SECRET}@h", accessKeyId: [${SECRET}], secretAccessKey: [${SECRET}] }
archives:
  a: { table: t, timezone: Europe/Berln, schedule: "61 * * * *", source: defualt, ping: "x://${SECRET}", read: cpoy }
  b: { table: t, timezone: Berlin, where: "at < :slt" }
  c: { table: t, timezone: XYZ, where: "tags[1:n] = a::slt AND x = :other AND ':slt' = y" }
http: { token: ${SECRET} short }
hosts: { url: ${SECRET} }
workers: { threads: 0 }`);
  const text = problems.join('\n');
  assert.ok(!text.includes('hunter2'), text);
  for (const shown of [
    'has a bucket name with capitals or _, which S3 has not',
    'such as Europe/Berlin; did you mean "Europe/Berlin"? (it is "Europe/Berln")',
    'such as Europe/Berlin; did you mean "Europe/Berlin"? (it is "Berlin")',
    'such as Europe/Berlin (it is "XYZ")',
    'wrong here: minute (it is "61 * * * *")',
    'there is no source of this name; did you mean "default"? (it is "defualt")',
    'must be auto, cursor or copy (it is "cpoy")',
    'must be at least 1 (it is 0)',
    'archives.b.where: has ":slt", which is not known; did you mean ":slot"?',
    'archives.c.where: has ":other", which is not known; known are :slot, :from, :to',
  ])
    assert.ok(text.includes(shown), `${shown}\n${text}`);
  assert.equal(problems.filter((problem) => problem.includes('.where: ')).length, 2);
});

test('what S3 takes for no name of a bucket is a problem, and what only some servers take needs the path', () => {
  const problemOf = (url: string, more = ''): string =>
    problemsOf(`${SOURCES}\n${ARCHIVES}\ndestinations: { default: { url: "${url}"${more} } }`).join('\n');
  assert.match(problemOf('s3://a..b/pg'), /without two dots in a row \(it is "s3:\/\/a\.\.b\/pg"\)/);
  assert.match(problemOf('s3://10.0.0.1/pg'), /that is no IP address/);
  assert.match(problemOf('s3://xn--a/pg'), /begins with xn--, sthree-/);
  assert.match(problemOf('s3://ab_c/pg'), /forcePathStyle: true/);
  for (const more of [', forcePathStyle: true', ', forcePathStyle: true, endpoint: "https://h"'])
    assert.equal(problemOf('s3://Ab_c/pg', more), '');
});
