import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { COMMANDS } from '../../../src/commands/commands.ts';
import { Given } from '../../../src/commands/entry.ts';
import { describeEnd } from '../../../src/commands/help.ts';

describe('the table of commands', () => {
  test('has each command once, with an example that begins with it', () => {
    const names = COMMANDS.map(({ name }) => name);
    assert.deepEqual([...new Set(names)], names);
    for (const { name, example } of COMMANDS) assert.ok(example.startsWith(`pgsluice ${name}`), name);
  });

  test('says of each what its exit codes mean, and which variables it looks at', () => {
    for (const entry of COMMANDS) {
      const end = describeEnd(entry);
      assert.match(
        end,
        /\nExit codes:\n {2}0 +done\n(?: {2}\d+ +\S.*\n)* {2}\d+ +\S.*\n\nEnvironment:\n {2}PGSLUICE_CONFIG /,
      );
      assert.match(end, / 2 +.*(?:usage|config)/, entry.name);
    }
  });

  test('names options once in each command', () => {
    for (const { name, options } of COMMANDS) {
      const flags = options.map((option) => option.flags);
      assert.deepEqual([...new Set(flags)], flags, name);
    }
  });
});

describe('what was typed', () => {
  const given = new Given(['events', '20261123T021500Z'], { into: 'a.b', create: true, rows: 5 });

  test('is there by its name, and left out where it was not typed', () => {
    assert.equal(given.archive, 'events');
    assert.deepEqual(given.run(), { run: '20261123T021500Z' });
    assert.deepEqual(new Given(['events'], {}).run(), {});
    assert.deepEqual(given.texts('into', 'source'), { into: 'a.b' });
    assert.deepEqual([given.flag('create'), given.flag('all'), given.text('rows')], [true, false, '5']);
  });
});
