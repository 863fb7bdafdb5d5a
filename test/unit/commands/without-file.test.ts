import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../../../src/base/errors.ts';
import { Given } from '../../../src/commands/entry.ts';
import { nextCommands, typedReading, typedRun } from '../../../src/commands/without-file.ts';

function problemsOf(given: Given, work: (given: Given) => unknown = typedRun): readonly string[] {
  try {
    work(given);
    return [];
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
}

describe('run without a config file', () => {
  test('is asked for by a table or a place, and names the archive after the table', () => {
    assert.deepEqual(typedRun(new Given([], { table: 'billing."Events"', to: 's3://acme/pg', region: 'eu-west-1' })), {
      ends: { source: '${DATABASE_URL}', destination: 's3://acme/pg', region: 'eu-west-1' },
      archives: { 'billing.Events': { table: 'billing."Events"' } },
    });
  });

  test('keeps two tables apart whose names no archive can have', () => {
    const [a, b, c] = ['"a b"', '"a-b"', 'public."a.b"'].map((table) => {
      const typed = typedRun(new Given([], { table, to: 's3://acme/pg' }));
      return Object.keys(typed?.archives ?? {})[0];
    });
    assert.match(a ?? '', /^a_b_[0-9a-f]{8}$/);
    assert.deepEqual([b, c], ['a-b', 'a.b']);
  });

  test('is not meant where an archive is named, and its windows by dates', () => {
    assert.equal(typedRun(new Given(['events'], { from: '2024-01-01', to: '2024-02-01' })), undefined);
    assert.equal(
      typedReading(new Given(['events'], { to: '2024-02-01', source: 'other' }), { takesDates: true }),
      undefined,
    );
  });

  test('is refused with all that is missing or does not go together', () => {
    assert.match(problemsOf(new Given([], { table: 'a.b.c' })).join('\n'), /^--to is missing.*\n--table a\.b\.c: must/);
    assert.match(problemsOf(new Given([], { to: 's3://acme/pg' })).join('\n'), /^--table is missing/);
    assert.match(
      problemsOf(new Given(['x'], { table: 't', to: '2024-01-01', all: true, config: 'f', from: '2024' })).join('\n'),
      /leave x out\n--to must be s3:\/\/.*\n--config is .*\n--from is .*\n--all is /,
    );
    assert.match(problemsOf(new Given(['x'], { region: 'r', where: 'w' })).join('\n'), /^--region, --where: only/);
    const reading = (given: Given): unknown => typedReading(given, {});
    assert.match(problemsOf(new Given([], { to: 's3://acme/pg' }), reading).join('\n'), /^name the archive/);
    assert.match(problemsOf(new Given(['x'], { endpoint: 'http://h' }), reading).join('\n'), /^--endpoint: only/);
    assert.match(
      problemsOf(new Given(['x'], { to: '2024-02-01' }), reading).join('\n'),
      /^--to 2024-02-01: must be s3:/,
    );
  });

  test('says in the end which commands find what it made, as a shell takes them, without the URL', () => {
    const typed = typedRun(
      new Given([], { table: '"it\'s"', to: 'file:///srv/a b', source: 'postgres://app:hunter22@h/app' }),
    );
    assert.ok(typed !== undefined);
    assert.deepEqual(nextCommands(typed), [
      `list it:     pgsluice list it_s_24ceef1c --to 'file:///srv/a b'`,
      `prove it:    pgsluice verify it_s_24ceef1c --to 'file:///srv/a b'`,
      `bring back:  pgsluice restore it_s_24ceef1c --to 'file:///srv/a b' --source URL --into 'public."it'\\''s_restored"' --create`,
    ]);
  });
});
