import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { dataKey, folderOfDataKey, runOfKey, segmentOfDataKey } from '../../../src/ledger/names.ts';
import {
  commonFolder,
  isChosen,
  isPartitionFolder,
  partitionFolder,
  readChoices,
} from '../../../src/ledger/partitions.ts';
import { anyCharacter } from '../../support/any-text.ts';

const RUN = '20261123T021500Z';

/** As `FileUtils.charToEscape` of Hive has them; all other characters of Unicode stand as they are. */
const ESCAPED_BY_HIVE = [
  ...Array.from({ length: 0x1f }, (_, at) => String.fromCharCode(at + 1)),
  ...['"', '#', '%', "'", '*', '/', ':', '=', '?', '\\', '\u007f', '{', '[', ']', '^'],
];

/** Hive's own way back: `%XX` is the character of that code, whatever else stands there. */
function unescapeAsHive(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Texts that Postgres can hold, those among them that are names of something on the way. */
const text = fc.oneof(
  fc.string({ unit: anyCharacter }).map((value) => value.replaceAll('\0', '').toWellFormed()),
  fc
    .array(fc.constantFrom('/', '..', '.', '=', '%', '%2F', '%5F', '_', 'run=', '\n', '__HIVE_DEFAULT_PARTITION__'), {
      maxLength: 4,
    })
    .map((parts) => parts.join('')),
  fc.constantFrom('__HIVE_DEFAULT_PARTITION__', '__hive_default_partition__', '_', ''),
);
const name = text.filter((value) => value !== '');
const value = fc.option(text);

describe('the folder of a value', () => {
  test('has each character of ASCII as Hive has it', () => {
    for (let code = 1; code < 0x80; code += 1) {
      const character = String.fromCharCode(code);
      const hex = code.toString(16).toUpperCase().padStart(2, '0');
      const expected = ESCAPED_BY_HIVE.includes(character) ? `%${hex}` : character;
      assert.equal(partitionFolder(['c'], [`a${character}b`]), `c=a${expected}b/`);
      assert.equal(partitionFolder([`a${character}b`], ['v']), `a${expected}b=v/`);
    }
    assert.equal(partitionFolder(['a', 'b'], ['é😀\u0085 ', null]), 'a=é😀\u0085 /b=__HIVE_DEFAULT_PARTITION__/');
    assert.equal(partitionFolder(['a'], ['']), 'a=__HIVE_DEFAULT_PARTITION__/');
    assert.equal(partitionFolder([], []), '');
  });

  test('comes back as the value by what Hive does, and is that of NULL for NULL and the empty text alone', () => {
    fc.assert(
      fc.property(name, value, (column, value) => {
        const [left = '', right = ''] = partitionFolder([column], [value]).slice(0, -1).split('=');
        assert.equal(unescapeAsHive(left), column);
        const isDefault = right.toLowerCase() === '__hive_default_partition__';
        assert.equal(isDefault, value === null || value === '');
        if (!isDefault) assert.equal(unescapeAsHive(right), value);
      }),
    );
  });

  test('is one of no other value, and stays in that of the run', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value, value), { minLength: 1, maxLength: 3 }), (columns) => {
        const names = columns.map(([column]) => column);
        const [a, b] = [columns.map(([, one]) => one), columns.map(([, , other]) => other)];
        const folders = [partitionFolder(names, a), partitionFolder(names, b)];
        const isSame = a.every((one, at) => (one ?? '') === (b[at] ?? ''));
        assert.equal(folders[0] === folders[1], isSame);
        for (const folder of folders) {
          assert.ok(isPartitionFolder(folder));
          const parts = folder.slice(0, -1).split('/');
          assert.equal(parts.length, names.length);
          assert.ok(parts.every((part) => part !== '' && part !== '.' && part !== '..'));
          const key = dataKey('it', RUN, 7, 'jsonl.gz', folder);
          assert.equal(segmentOfDataKey('it', RUN, key), 7);
          assert.equal(folderOfDataKey('it', RUN, key), folder);
          assert.equal(runOfKey('it', key), RUN);
        }
      }),
    );
  });

  for (const folder of [
    '/',
    '../',
    'a/',
    'a=/',
    '=a/',
    'a=b',
    'a=b/c/',
    'a=b/../',
    'a=%2f/',
    'a=%41/',
    'a=b=c/',
    'a=x\n/',
    'a=__hive_default_partition__/',
    './a=b/',
    'a=b//',
    'x=1/'.repeat(17),
  ])
    test(`is never ${JSON.stringify(folder).slice(0, 40)}`, () => {
      assert.ok(!isPartitionFolder(folder));
      assert.equal(segmentOfDataKey('it', RUN, dataKey('it', RUN, 7, 'jsonl.gz', folder)), undefined);
    });
});

describe('what --partition asks for', () => {
  test('is a text, the empty text, or NULL', () => {
    const columns = ['a', 'a=b', 'c'];
    assert.deepEqual(readChoices(['a=1', 'c'], columns), [
      { column: 'a', value: '1' },
      { column: 'c', value: null },
    ]);
    assert.deepEqual(readChoices(['c='], columns), [{ column: 'c', value: '' }]);
    assert.deepEqual(readChoices(['a=b=1'], columns), [{ column: 'a=b', value: '1' }]);
    assert.equal(readChoices(['d=1'], columns), '--partition d=1: its folders are of a, a=b, c');
    assert.equal(readChoices(['d=1'], []), '--partition d=1: it lies in no folders by value');
    assert.equal(readChoices(['c=1', 'c'], columns), '--partition c: c was given before');
  });

  test('is met by objects of those values alone', () => {
    const choices = [
      { column: 'a', value: '' },
      { column: 'b', value: null },
    ];
    assert.ok(isChosen({ a: '', b: null, c: '1' }, choices));
    assert.ok(!isChosen({ a: null, b: null }, choices));
    assert.ok(!isChosen({ a: '', b: '' }, choices));
    assert.ok(!isChosen(undefined, choices));
    assert.ok(isChosen(undefined, []));
  });

  test('lies in the folders of the columns that are given from the first one on', () => {
    const [a, b] = [
      { column: 'a', value: 'x/y' },
      { column: 'b', value: null },
    ];
    assert.equal(commonFolder(['a', 'b'], [b, a]), 'a=x%2Fy/b=__HIVE_DEFAULT_PARTITION__/');
    assert.equal(commonFolder(['a', 'b'], [a]), 'a=x%2Fy/');
    assert.equal(commonFolder(['a', 'b'], [b]), '');
  });
});
