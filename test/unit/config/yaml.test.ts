import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARCHIVES, assertProblems, DESTINATIONS, MINIMAL, problemsOf, SOURCES } from './support.ts';

const EMPTY = 'the file is empty; sources, destinations and archives are required';
const NO_MAPPING = 'the file must be a mapping of options, such as "sources:", "archives:"';
const ALIAS = 'a value that begins with * must be in quotes, unless it names an anchor above it';

const CASES: [title: string, text: string, messages: string[]][] = [
  ['an empty file', '▸', [EMPTY]],
  ['a file of comments only', '▸# nothing\n# here\n', [EMPTY]],
  ['an empty document', '▸# nothing\n---\n', [EMPTY]],
  ['a list at the root', '# a list\n▸- sources\n', [NO_MAPPING]],
  ['text at the root', '▸sources\n', [NO_MAPPING]],
  [
    'a second document',
    `${MINIMAL}\n▸---\nlog: 1\n`,
    ['not valid YAML: the file must be one YAML document; remove this line'],
  ],
  ['a duplicate key', `${MINIMAL}\n▸${ARCHIVES}`, ['duplicate key; remove one of them']],
  [
    'a cron expression that is read as an alias',
    `${SOURCES}\n${DESTINATIONS}\narchives:\n  a:\n    table: t\n    schedule: ▸* * * * *\n`,
    [ALIAS],
  ],
  [
    'the like with a step',
    `${SOURCES}\n${DESTINATIONS}\narchives:\n  a:\n    table: t\n    schedule: ▸*/5 * * * *\n`,
    [ALIAS],
  ],
  ['an alias without an anchor', `${SOURCES}\n${DESTINATIONS}\narchives: { a: { table: ▸*nope } }`, [ALIAS]],
  [
    'an alias without an anchor, where a value is required',
    `${DESTINATIONS}\n${ARCHIVES}\nsources: { default: { url: ▸*nope } }`,
    [ALIAS],
  ],
  ['an open quote around all', '"sources▸', ['not valid YAML: a quote, bracket, comma or colon is missing']],
  ['an open quote', `${MINIMAL}\nstate: "/srv▸`, ['not valid YAML: a quote, bracket, comma or colon is missing']],
  ['a tab', `${MINIMAL}\nlog:\n▸\tlevel: info\n`, ['not valid YAML: tabs cannot indent; use spaces']],
  [
    'a bad escape',
    `${MINIMAL}\nstate: "/srv▸\\q"`,
    ['not valid YAML: a backslash in double quotes needs a second one; or use single quotes'],
  ],
  ['an unknown tag', `${MINIMAL}\nstate: ▸!env /srv`, ['not valid YAML: the tag (!…) is not known']],
  [
    'an unquoted reference in brackets',
    `${MINIMAL}\nlog: { level: $▸{LEVEL} }`,
    ['not valid YAML: inside { } and [ ], "${…}" must be in quotes'],
  ],
];

for (const [title, text, messages] of CASES) {
  test(`${title} is an error at its position`, () => {
    assertProblems(text, messages);
  });
}

test('a local error in the YAML does not hide other problems', () => {
  assertProblems(
    `${SOURCES}
${DESTINATIONS}
archives:
  a:
    schedule: ▸*/5 * * * *
    ▸tabel: t
    table: ▸3
log: {}
▸log: { level: ▸3 }`,
    [
      ALIAS,
      'archives.a.tabel: unknown key; did you mean "table"?',
      'archives.a.table: must be text; put it in quotes',
      'duplicate key; remove one of them',
      'log.level: must be trace, debug, info, warn, error, fatal or silent',
    ],
  );
});

test('aliases that expand without end are refused, and quickly', () => {
  const lines = Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`);
  assert.deepEqual(problemsOf(['a0: &a0 [x]', ...lines].join('\n')), [
    '1:1: the file cannot be read: its aliases expand too far',
  ]);
});

test('an alias to itself is no endless loop', () => {
  assertProblems(`▸sources: &s\n  ▸x: *s\n`.replace('▸sources', '▸▸sources').replace('▸x', '▸▸x'), [
    'destinations is required',
    'archives is required',
    'sources.x: url is required',
    'sources.x.x: unknown key; known are: url',
  ]);
});

test('what comes through an alias or a merge key is reported where it is written', () => {
  assertProblems(
    `${SOURCES}
${DESTINATIONS}
archives:
  a: &base { table: t, read: ▸▸fast, retry: &retry { attempts: ▸▸▸0 } }
  b: { <<: *base }
  c: { <<: [{ table: u }], retry: *retry }`,
    [
      'archives.a.read: must be auto, cursor or copy',
      'archives.b.read: must be auto, cursor or copy',
      'archives.a.retry.attempts: must be at least 1',
      'archives.b.retry.attempts: must be at least 1',
      'archives.c.retry.attempts: must be at least 1',
    ],
  );
});
