import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellTlsMeanings } from '../../../src/config/tls-meaning.ts';
import { type LogLine, recordTo } from '../../support/record-log.ts';

function told(...sources: [name: string, query: string][]): string[] {
  const lines: LogLine[] = [];
  const urls = sources.map(([name, query]) => ({ name, url: `postgres://u:p@db.example.com/x${query}` }));
  tellTlsMeanings(recordTo(lines), urls);
  return lines.map(
    ({ message, fields }) => `${String(fields['source'])}: ${message.slice(0, message.indexOf(' here'))}`,
  );
}

test('what verifies more here than in libpq is said once for a source, and again where it has another mode', () => {
  assert.deepEqual(told(['a', '?sslmode=require'], ['a', '?sslmode=require'], ['b', '?sslmode=prefer']), [
    'a: sslmode=require means verify-full',
    'b: sslmode=prefer means verify-full',
  ]);
  assert.deepEqual(told(['a', '?sslmode=require'], ['b', '?sslmode=verify-ca']), [
    'b: sslmode=verify-ca means verify-full',
  ]);
});

test('of what means the same as in libpq, nothing is said', () => {
  const queries = ['', '?sslmode=verify-full', '?sslmode=disable', '?sslmode=no-verify', '?ssl=true'];
  const asInLibpq = '?sslmode=require&uselibpqcompat=true';
  assert.deepEqual(told(...[...queries, asInLibpq].map((query): [string, string] => ['same', query])), []);
});
