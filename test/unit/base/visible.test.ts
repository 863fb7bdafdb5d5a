import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { visible, visibleJson } from '../../../src/base/visible.ts';

describe('text from elsewhere', () => {
  test('cannot begin a line, steer a terminal or turn the order of letters', () => {
    assert.equal(visible('a\nb\r\tc'), String.raw`a\nb\r\tc`);
    assert.equal(visible('\u001b[2J\u0007\u0000'), String.raw`\x1b[2J\x07\x00`);
    assert.equal(visible('\u007f\u009b31m'), String.raw`\x7f\x9b31m`);
    assert.equal(visible('gpj.\u202eexe\u2066x\u2069'), String.raw`gpj.\u202eexe\u2066x\u2069`);
    assert.equal(visible('a\u2028b\u2029c\u200ed\u061ce'), String.raw`a\u2028b\u2029c\u200ed\u061ce`);
    assert.equal(visible('event\u200bs\ufeff\u{e0041}'), String.raw`event\u200bs\ufeff\u{e0041}`);
  });

  test('leaves none of the controls, in any order', () => {
    const all = Array.from({ length: 0x300 }, (_, code) => String.fromCharCode(code)).join('');
    assert.doesNotMatch(visible(all), /[\p{Cc}\p{Bidi_Control}]/u);
  });

  test('stays as it is where there is nothing to hide', () => {
    for (const text of ['', 'public.fetch_queue', 'Größe 数据 👩‍👩‍👧', 'שלום', String.raw`C:\new`])
      assert.equal(visible(text), text);
  });

  test('is cut where it is long, and no character is halved', () => {
    assert.equal(visible('x'.repeat(1024 ** 2), 5), 'xxxx…');
    assert.equal(visible('abcde', 5), 'abcde');
    assert.equal(visible('abc👍👍', 5), 'abc…');
    assert.equal(visible('\ud83d'), String.raw`\ud83d`);
  });
});

describe('JSON for a terminal', () => {
  test('says the same to who parses it', () => {
    const value = { text: 'a\u007f\u009b\u202e\u2028\ufeff\u{e0041}\u001b\ud83d"\\' };
    const json = visibleJson(JSON.stringify(value));
    assert.match(json, /^[\x20-\x7e]+$/);
    assert.deepEqual(JSON.parse(json), value);
  });

  test('leaves letters as they are', () => {
    assert.equal(visibleJson('{"a":"Größe 👍"}'), '{"a":"Größe 👍"}');
  });
});
