import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeExcess } from '../../../src/config/size.ts';
import { MINIMAL, problemsOf } from './support.ts';

const NOT_READ = 'the file is not read: ';

const CASES: [title: string, text: string, problem: string][] = [
  ['brackets in brackets', `a: ${'['.repeat(400_000)}`, `1:68: ${NOT_READ}brackets are nested deeper than 64`],
  ['braces in braces', `a: ${'{'.repeat(65)}`, `1:68: ${NOT_READ}brackets are nested deeper than 64`],
  ['keys', `a:\n${' k: 1\n'.repeat(20_001)}`, `20001:3: ${NOT_READ}the number of keys is above 20,000`],
  ['lines', `a:\n${'- x\n'.repeat(50_001)}`, `50001:4: ${NOT_READ}the number of lines is above 50,000`],
  [
    'list items in one line',
    `a: [${'x,'.repeat(50_001)}`,
    `1:100006: ${NOT_READ}the number of list items is above 50,000`,
  ],
  [
    'aliases',
    `a: &a x\nb: [${'*a,'.repeat(1001)}`,
    `2:3002: ${NOT_READ}the number of anchors, aliases and tags is above 1,000`,
  ],
  ['tags', '!a '.repeat(1001), `1:3001: ${NOT_READ}the number of anchors, aliases and tags is above 1,000`],
  ['documents', '---\n'.repeat(11), `11:1: ${NOT_READ}the number of documents and directives is above 10`],
  ['directives', '%X\n'.repeat(11), `11:1: ${NOT_READ}the number of documents and directives is above 10`],
  ['empty lines', '\n'.repeat(50_001), `50001:1: ${NOT_READ}the number of lines is above 50,000`],
];

for (const [title, text, problem] of CASES) {
  test(`too many ${title} are refused before the file is parsed`, () => {
    assert.deepEqual(problemsOf(text), [problem]);
  });
}

test('what looks like brackets, keys and aliases in texts does not count', () => {
  const inTexts = [
    `a: '${'['.repeat(1000)}'`,
    `b: "${'{ : ['.repeat(1000)}"`,
    `c: |\n${'  - x: [ &a *b\n'.repeat(2000)}`,
    `d: x${'['.repeat(1000)}`,
    `# ${'['.repeat(1000)}`,
  ];
  assert.equal(describeExcess(inTexts.join('\n')), undefined);
});

test('the minimal config is far below each limit', () => {
  assert.equal(describeExcess(MINIMAL), undefined);
});

test('a key that stands three times is reported twice', () => {
  assert.deepEqual(
    problemsOf(`${MINIMAL}\nlog: {}\nlog: {}\nlog: {}\n`).map((line) => line.replace(/^\d+:\d+: /, '')),
    ['duplicate key; remove one of them', 'duplicate key; remove one of them'],
  );
});
