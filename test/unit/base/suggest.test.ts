import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nearestName } from '../../../src/base/suggest.ts';

const KNOWN = ['fetch_queue', 'events', 'id', 'url', 'createdAt'];

describe('did you mean', () => {
  for (const [text, meant] of [
    ['fetch_queu', 'fetch_queue'],
    ['fetchqueue', 'fetch_queue'],
    ['event', 'events'],
    ['uri', 'url'],
    ['EVENTS', 'events'],
    ['createdat', 'createdAt'],
    ['id', 'id'],
  ] as const) {
    test(`${meant}, for ${text}`, () => {
      assert.equal(nearestName(text, KNOWN), meant);
    });
  }

  test('is not asked when nothing is near', () => {
    for (const text of ['customers', 'xy', 'x', '']) assert.equal(nearestName(text, KNOWN), undefined, text);
    assert.equal(nearestName('events', []), undefined);
  });

  test('lets a third of a long name be wrong, and no more', () => {
    assert.equal(nearestName('abcdefghixxx', ['abcdefghijkl']), 'abcdefghijkl');
    assert.equal(nearestName('abcdefghxxxxx', ['abcdefghijklm']), undefined);
  });

  test('takes the nearest, and of two that are as near the first', () => {
    assert.equal(nearestName('part2', ['part11', 'part1', 'part3']), 'part1');
  });
});
