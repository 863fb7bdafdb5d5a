import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatGrid, Grid } from '../../../../src/commands/terminal/grid.ts';

describe('a grid on a terminal', () => {
  test('has its columns below each other, numbers to the right', () => {
    assert.deepEqual(
      formatGrid(
        ['name', 'rows'],
        [
          ['events', '1'],
          ['a', '1,000,000'],
        ],
        [1],
      ),
      ['name         rows', 'events          1', 'a       1,000,000'],
    );
  });

  test('comes in blocks with one header, and its columns never become narrower', () => {
    const grid = new Grid(['name', 'rows'], [1]);
    assert.deepEqual(grid.format([['events', '1']]), ['name    rows', 'events     1']);
    assert.deepEqual(grid.format([['a', '10000']]), ['a       10000']);
    assert.deepEqual(grid.format([['a', '1']]), ['a           1']);
  });

  test('shows control characters within their cell, and cuts what is too long', () => {
    const [header, first, second] = formatGrid(
      ['a', 'b'],
      [
        ['x\ncommitted\u001b[2J', 'y'],
        ['z'.repeat(1024 ** 2), 'w'],
      ],
    );
    assert.equal(first, `${String.raw`x\ncommitted\x1b[2J`.padEnd(300)}  y`);
    assert.equal(second, `${'z'.repeat(299)}…  w`);
    assert.equal(header, `a${' '.repeat(301)}b`);
  });
});
