import assert from 'node:assert/strict';
import { test } from 'node:test';
import { again, hasStayed, inPart, linesOf, noLines, Stayed } from '../../../src/purge/tally.ts';

const tally = (changes: object) => ({ ...noLines(), ...changes });

test('what we deleted before is not absent for another reason', () => {
  assert.deepEqual(
    again(tally({ deleted: 5, locked: 3, absent: 2 }), tally({ deleted: 3, absent: 7 })),
    tally({ deleted: 8, absent: 2 }),
  );
  // Rows that came back under their keys, changed.
  assert.deepEqual(
    again(tally({ deleted: 5, locked: 1 }), tally({ changed: 5, deleted: 1 })),
    tally({ changed: 5, deleted: 1 }),
  );
});

test('what is gone through again in part never has more lines than it had before', () => {
  const before = tally({ deleted: 598, referenced: 2 });
  assert.deepEqual(inPart(before, noLines()), before);
  assert.deepEqual(inPart(before, tally({ absent: 100 })), tally({ deleted: 598 }));
  assert.deepEqual(inPart(before, tally({ absent: 599, deleted: 1 })), tally({ deleted: 599, absent: 1 }));
  // All of them were brought back.
  for (const deleted of [1, 300, 600])
    assert.deepEqual(inPart(before, tally({ deleted })), tally({ deleted: Math.min(600, deleted + 598) }));
});

test('only objects of which lines stayed are kept, in their order', () => {
  const stayed = new Stayed([{ object: 9, ...tally({ changed: 1, deleted: 4 }) }]);
  stayed.set(3, tally({ locked: 1 }));
  stayed.set(4, tally({ deleted: 10, absent: 1 }));
  assert.deepEqual(
    stayed.entries.map(({ object }) => object),
    [3, 9],
  );
  assert.deepEqual(stayed.worthAnotherLook, [3]);
  stayed.set(3, tally({ deleted: 1 }));
  assert.deepEqual(
    stayed.entries.map(({ object }) => object),
    [9],
  );
  assert.equal(linesOf(stayed.get(9)), 5);
  assert.equal(hasStayed(stayed.get(3)), false);
});
