import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatGrid } from '../../../../src/commands/terminal/grid.ts';

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
