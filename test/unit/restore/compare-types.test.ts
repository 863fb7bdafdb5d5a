import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attributesToCome, definitionsOf, describeType, fits } from '../../../src/restore/compare-types.ts';

const KNOWN = definitionsOf([
  { name: 'price', base: 'numeric(10,4)' },
  { name: 'sum', base: 'price' },
  { name: 'level', labels: ['low', 'high'] },
  {
    name: 'pair',
    attributes: [
      { name: 'a', type: 'integer' },
      { name: 'b', type: 'price[]' },
    ],
  },
  { name: 'circle', base: 'circle' },
]);

function fitsInto(archived: string, there: string, here: Parameters<typeof definitionsOf>[0] = []): boolean {
  return fits(archived, there, KNOWN, definitionsOf(here));
}

describe('a type of the target', () => {
  for (const [archived, there, yes] of [
    ['integer', 'bigint', true],
    ['bigint', 'integer', false],
    ['smallint[]', 'integer[]', true],
    ['integer', 'integer[]', false],
    ['character varying(9)', 'text', true],
    ['character varying(9)', 'character varying(10)', true],
    ['character varying(9)', 'character varying', true],
    ['character varying(9)', 'character varying(8)', false],
    ['character varying', 'character varying(8)', false],
    ['text', 'character varying', false],
    ['numeric(6,2)', 'numeric(8,4)', true],
    ['numeric(6,2)', 'numeric(7,4)', false],
    ['numeric(6,2)', 'numeric(9,1)', false],
    ['numeric(6,2)', 'numeric', true],
    ['numeric', 'numeric(38,10)', false],
    ['numeric(5,-2)', 'numeric(7,0)', true],
    ['real', 'double precision', false],
  ] as const)
    test(`${there} ${yes ? 'holds' : 'does not hold'} all of ${archived}`, () => {
      assert.equal(fitsInto(archived, there), yes);
    });

  test('is looked at below its domains, on both sides', () => {
    assert.equal(fitsInto('sum', 'numeric(10,4)'), true);
    assert.equal(fitsInto('sum', 'price', [{ name: 'price', base: 'numeric(10,1)' }]), false);
    assert.equal(fitsInto('numeric(10,4)', 'price', [{ name: 'price', base: 'numeric(12,4)' }]), true);
    assert.equal(fitsInto('circle', 'integer'), false);
  });

  test('has all labels of an enum, and all attributes of a composite', () => {
    assert.equal(fitsInto('level', 'level', [{ name: 'level', labels: ['high', 'middle', 'low'] }]), true);
    assert.equal(fitsInto('level', 'level', [{ name: 'level', labels: ['low'] }]), false);
    assert.equal(fitsInto('level', 'text'), false);
    const pair = (b: string): Parameters<typeof definitionsOf>[0] => [
      {
        name: 'p',
        attributes: [
          { name: 'new', type: 'text' },
          { name: 'b', type: b },
          { name: 'a', type: 'bigint' },
        ],
      },
    ];
    assert.equal(fitsInto('pair', 'p', pair('numeric[]')), true);
    assert.equal(fitsInto('pair', 'p', pair('numeric(5,1)[]')), false);
    assert.equal(fitsInto('pair', 'p', [{ name: 'p', attributes: [] }]), false);
  });

  test('names the attributes that the archive has no values of, however deep', () => {
    const here = definitionsOf([
      {
        name: 'p',
        attributes: [
          { name: 'b', type: 'price[]' },
          { name: 'new "one"', type: 'text' },
          { name: 'a', type: 'integer' },
        ],
      },
      { name: 'box', base: 'p[]' },
    ]);
    assert.deepEqual(attributesToCome('pair', 'p', KNOWN, here), ['p."new ""one"""']);
    assert.deepEqual(attributesToCome('pair[]', 'box', KNOWN, here), ['p."new ""one"""']);
    assert.deepEqual(attributesToCome('pair', 'pair', KNOWN, KNOWN), []);
    assert.deepEqual(attributesToCome('pair', 'p', undefined, here), []);
  });

  test('is known by its name alone where a manifest says no more', () => {
    assert.equal(fits('level', 'audit.level', undefined, definitionsOf([])), true);
    assert.equal(fits('price', 'price', undefined, definitionsOf([{ name: 'price', base: 'numeric(10,1)' }])), true);
  });

  test('is described with what it is made of', () => {
    assert.deepEqual(
      ['price', 'level', 'pair', 'text'].map((name) => describeType(name, KNOWN)),
      [
        'price (a domain over numeric(10,4))',
        "level (an enum of 'low', 'high')",
        'pair (of "a" integer, "b" price[])',
        'text',
      ],
    );
  });
});
