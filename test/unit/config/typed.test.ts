import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../../src/base/errors.ts';
import { archiveNameOf, distinctName } from '../../../src/config/archive-name.ts';
import { loadTyped, type TypedEnds } from '../../../src/config/typed.ts';

const ENDS: TypedEnds = { source: 'postgres://app@localhost/app', destination: 's3://acme-archive/pg' };

function problemsOf(ends: Partial<TypedEnds>, where?: string): readonly string[] {
  try {
    const archive = { table: 'events', ...(where === undefined ? {} : { where }) };
    loadTyped({ ends: { ...ENDS, ...ends }, archives: { events: archive } }, { SECRET: 'hunter22' });
    return [];
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
}

describe('a config of what was typed', () => {
  test('has the defaults of one from a file, and takes each value as it is', () => {
    const table = `"we: ird""\n\${SECRET} $\${x} #"`;
    const { archives, destinations } = loadTyped(
      { ends: { ...ENDS, region: 'eu-west-1' }, archives: { events: { table, where: `note = '\${SECRET}'` } } },
      {},
    );
    assert.equal(archives['events']?.table, table);
    assert.equal(archives['events'].where, `note = '\${SECRET}'`);
    assert.equal(archives['events'].segments.parallel, 2);
    assert.equal(destinations['default']?.region, 'eu-west-1');
  });

  test('takes its source from the environment', () => {
    const ends = { ...ENDS, source: '${DATABASE_URL}' };
    const typed = { ends, archives: { events: { table: 'events' } } };
    const environment = { DATABASE_URL: 'postgres://app:hunter22@localhost/app' };
    assert.equal(loadTyped(typed, environment).sources['default']?.url, environment.DATABASE_URL);
  });

  test('names the option in the place of a line, all problems at once, and no secret', () => {
    assert.deepEqual(problemsOf({ source: '${NOT_SET}' }), [
      '--source: the environment variable NOT_SET is not set; set it where pgsluice is started',
    ]);
    assert.deepEqual(problemsOf({ source: 'mysql://root:hunter22@h/x', destination: 's3://x' }), [
      '--source: must be a postgres:// URL',
      '--to: must be s3://bucket/prefix, with a bucket name of 3 to 63 letters, digits, - and . (it is "s3://x")',
    ]);
    assert.deepEqual(problemsOf({ destination: 'file:///srv/archive', region: 'eu-west-1' }), [
      '--region: is for s3:// only; remove it, or change the url',
    ]);
    assert.match(problemsOf({}, 'a = 1; DROP TABLE x')[0] ?? '', /^--where: must be one statement/);
  });
});

describe('an archive that nobody has named', () => {
  test('is named after its table, with the schema where that is not public', () => {
    assert.equal(archiveNameOf({ schema: 'public', table: 'events' }), 'events');
    assert.equal(archiveNameOf({ schema: undefined, table: 'events' }), 'events');
    assert.equal(archiveNameOf({ schema: 'billing', table: 'Events' }), 'billing.Events');
    assert.equal(archiveNameOf({ schema: 'public', table: '../${x}\n' }), 'x');
    assert.equal(archiveNameOf({ schema: 'public', table: 'ä' }), 'table');
    assert.equal(archiveNameOf({ schema: 'x'.repeat(63), table: 'y'.repeat(63) }).length, 100);
  });

  test('gets a number where the name is taken, in whatever case', () => {
    assert.equal(distinctName('Events', new Set(['events'])), 'Events_2');
    assert.equal(distinctName('a'.repeat(100), new Set(['a'.repeat(100)])), `${'a'.repeat(98)}_2`);
  });
});

test('a name that no archive can have is told as it was typed', () => {
  assert.throws(
    () => loadTyped({ ends: ENDS, archives: { '../x: ${SECRET}': { table: 't' } } }, {}),
    /^UsageError: archive \.\.\/x: \$\{SECRET\}: the name must be letters, digits/,
  );
});
