import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LineWriter } from '../../../src/base/line-writer.ts';
import { isSystemdJournal } from '../../../src/base/log.ts';
import { registerSecret, scrub } from '../../../src/base/secrets.ts';

const LOG = JSON.stringify(new URL('../../../src/base/log.ts', import.meta.url).href);
const SECRETS = JSON.stringify(new URL('../../../src/base/secrets.ts', import.meta.url).href);

/** What a process that runs this code writes; the log needs real descriptors, so it runs in one of its own. */
function outputOf(code: string): { stdout: string; stderr: string } {
  const program = `
    import { createLog } from ${LOG};
    import { registerSecret } from ${SECRETS};
    ${code}`;
  const result = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  assert.equal(result.status, 0, result.stderr);
  return result;
}

function linesOf(code: string): Record<string, unknown>[] {
  return outputOf(code)
    .stderr.trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  test('writes JSON lines with an ISO time, the process id and the given fields to stderr', () => {
    const [line, ...others] = linesOf(`
      createLog({ level: 'info', base: { host: 'vm-1' } }).info({ rows: 3 }, 'committed');
      createLog({ level: 'info' }).debug('not shown');`);
    assert.deepEqual(others, []);
    const { time, pid, ...rest } = line ?? {};
    assert.deepEqual(rest, { level: 30, host: 'vm-1', rows: 3, msg: 'committed' });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(typeof pid, 'number');
  });

  test('says where the documentation tells more of a failure', () => {
    const lines = linesOf(`
      const log = createLog({ level: 'info' }).child({ archive: 'events' });
      log.error({ error: { code: 'disk-full', hint: 'Free space.' } }, 'run failed');
      log.warn({ failure: { code: 'disk-full' } }, 'segment failed');
      log.warn({ failure: { code: 'of-tomorrow' } }, 'segment failed');
      log.error({ error: 'EPIPE' }, 'no page');`);
    const see = 'docs/errors.md#disk-full';
    assert.deepEqual(
      lines.map(({ error, failure }) => error ?? failure),
      [{ code: 'disk-full', hint: 'Free space.', see }, { code: 'disk-full', see }, { code: 'of-tomorrow' }, 'EPIPE'],
    );
  });

  test('goes to stdout when asked', () => {
    const { stdout, stderr } = outputOf(`createLog({ level: 'info', destination: 'stdout' }).info('here')`);
    assert.match(stdout, /"msg":"here"/);
    assert.equal(stderr, '');
  });

  test('has written a line before the process is killed right after the call', () => {
    const program = `import { createLog } from ${LOG};
      createLog({ level: 'info' }).fatal('last words'); process.kill(process.pid, 'SIGKILL');`;
    const result = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
    assert.equal(result.signal, 'SIGKILL');
    assert.match(result.stderr, /last words/);
  });

  test('starts each line with the priority that journald reads', () => {
    const { stderr } = outputOf(`
      const log = createLog({ level: 'trace', systemdJournal: true });
      for (const level of ['fatal', 'error', 'warn', 'info', 'debug', 'trace']) log[level](level);
      log.child({ archive: 'a' }).error('child');`);
    const prefixes = stderr.match(/^<\d>(?=\{)/gm);
    assert.deepEqual(prefixes, ['<2>', '<3>', '<4>', '<6>', '<7>', '<7>', '<3>']);
  });

  test('is text in the journal and JSON in a pipe, unless the config says which', () => {
    const { stderr } = outputOf(`
      const failure = { code: 'disk-full', message: 'no space', hint: 'Free it.' };
      createLog({ level: 'info', format: 'auto', systemdJournal: true }).error({ archive: 'a', failure }, 'failed');
      createLog({ level: 'info', format: 'auto' }).info({ rows: 2000 }, 'in a pipe');
      createLog({ level: 'info', format: 'text' }).info({ url: 'postgres://u:s-secret@db/x', rows: 2000 }, 'as text');
      createLog({ level: 'info', format: 'json', systemdJournal: true }).info('as json');`);
    const lines = stderr.split('\n');
    assert.deepEqual(lines.slice(0, 3), [
      '<3>ERROR a: failed: no space (disk-full)',
      '<3>  hint   Free it.',
      '<3>  see    docs/errors.md#disk-full',
    ]);
    assert.match(lines[3] ?? '', /^\{.*"rows":2000,"msg":"in a pipe"\}$/);
    assert.match(lines[4] ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO {2}as text \(URL \*\*\*, rows 2,000\)$/);
    assert.match(lines[5] ?? '', /^<6>\{.*"msg":"as json"\}$/);
  });

  test('masks secret keys at any depth, in child bindings and in the fields of errors', () => {
    const lines = linesOf(`
      const log = createLog({ level: 'info', base: { token: 's-base' } }).child({ password: 's-child' });
      log.info({ a: { b: { c: { d: { e: { f: [{ secretAccessKey: 's-deep', accessKeyId: 987_654_321_012 }] } } } } } }, 'deep');
      log.error(Object.assign(new Error('boom'), { options: { url: { href: 's-error' } } }), 'failed');`);
    assert.equal(lines.length, 2);
    assert.doesNotMatch(JSON.stringify(lines), /s-(base|child|deep|error)|987654321012/);
    assert.match(JSON.stringify(lines[0]), /"secretAccessKey":"\*\*\*","accessKeyId":"\*\*\*"/);
    assert.match(JSON.stringify(lines[1]), /boom/);
  });

  test('masks passwords in messages, in stacks and in causes', () => {
    const lines = linesOf(`
      const cause = new Error('refused: postgres://u:s-cause@db/x');
      createLog({ level: 'info' }).error(new Error('no postgres://u:s-mess@db/x', { cause }), 'at postgres://u:s-text@db');`);
    assert.doesNotMatch(JSON.stringify(lines), /s-(cause|mess|text)/);
    assert.match(String(lines[0]?.['msg']), /^at postgres:\/\/u:\*\*\*@db$/);
  });

  test('masks registered secrets, and the line stays valid JSON whatever they contain', () => {
    const secrets = [`pa"ss\\wo{rd`, `","msg":"`, `line\nbreak`, `ünïcode✓`];
    const lines = linesOf(`
      const secrets = ${JSON.stringify(secrets)};
      const log = createLog({ level: 'info' });
      for (const secret of secrets) registerSecret(secret);
      for (const secret of secrets) log.info({ deep: [{ value: 'x' + secret + 'y' }] }, 'the ' + secret + '!');`);
    assert.equal(lines.length, secrets.length);
    for (const line of lines) assert.deepEqual([line['deep'], line['msg']], [[{ value: 'x***y' }], 'the ***!']);
  });
});

describe('scrub', () => {
  const cases: [situation: string, text: string, expected: string][] = [
    ['a URL', 'postgres://user:s3cret@db:5432/app', 'postgres://user:***@db:5432/app'],
    [
      'a URL in a sentence',
      'cannot reach <https://u:p@h/x>, trying again',
      'cannot reach <https://u:***@h/x>, trying again',
    ],
    ['two URLs', 'a://u:p@h b://v:q@i', 'a://u:***@h b://v:***@i'],
    ['a URL without a user', 'redis://:pw@h', 'redis://:***@h'],
    ['a password with an @', 'postgres://u:p@ss@h/db', 'postgres://u:***@h/db'],
    ['a password with a slash that was not encoded', 'postgres://u:p/w?x@h/db', 'postgres://u:***@h/db'],
    ['an @ after a path', 'http://a:b@c/x?mail=me@example.org', 'http://a:***@c/x?mail=me@example.org'],
    ['a port and an @ behind it', 'http://host:8080/people/me@example.org', 'http://host:8080/people/me@example.org'],
    ['a URL without a password', 'https://example.org/a:b', 'https://example.org/a:b'],
    ['a connection string', `host=db password='a b' user=u`, 'host=db password=*** user=u'],
    [
      'a password in a query string',
      'postgres://h/db?user=u&password=x%20y&a=1',
      'postgres://h/db?user=u&password=***&a=1',
    ],
    ['a presigned URL', 'https://h/k?X-Amz-Signature=abc&partNumber=1', 'https://h/k?X-Amz-Signature=***&partNumber=1'],
    ['a syntax error', 'Unexpected token = in JSON', 'Unexpected token = in JSON'],
  ];
  for (const [situation, text, expected] of cases) {
    test(`treats ${situation}`, () => {
      assert.equal(scrub(text), expected);
    });
  }

  test('masks a registered secret in plain, URL-encoded and JSON-quoted form, the longer of two first', () => {
    registerSecret('  Tr0ub4dor&"3  ');
    registerSecret('Tr0ub4dor&"3-longer');
    const forms = ['Tr0ub4dor&"3', 'Tr0ub4dor%26%223', 'Tr0ub4dor&\\"3', 'Tr0ub4dor&"3-longer'];
    for (const form of forms) assert.equal(scrub(`[${form}]`), '[***]');
  });

  test('does not mask a registered value of under four characters', () => {
    registerSecret('of');
    assert.equal(scrub('end of data'), 'end of data');
  });

  test('takes linear time on a hostile text', () => {
    // CPU, as others may load the machine.
    const before = process.cpuUsage();
    scrub('a://b:'.repeat(20_000));
    scrub(`${'a.'.repeat(50_000)}://`);
    assert.ok(process.cpuUsage(before).user / 1000 < 2000);
  });
});

describe('isSystemdJournal', () => {
  const file = join(tmpdir(), `pgsluice-log-${process.pid}`);

  test('compares the device and the inode of the descriptor with JOURNAL_STREAM', () => {
    const fd = openSync(file, 'w');
    try {
      const { dev, ino } = fstatSync(fd, { bigint: true });
      assert.equal(isSystemdJournal(fd, { JOURNAL_STREAM: `${dev}:${ino}` }), true);
      assert.equal(isSystemdJournal(fd, { JOURNAL_STREAM: `${dev}:${ino}1` }), false);
      assert.equal(isSystemdJournal(fd, { JOURNAL_STREAM: '' }), false);
      assert.equal(isSystemdJournal(fd, {}), false);
    } finally {
      closeSync(fd);
      rmSync(file);
    }
  });

  test('is false for a descriptor that is not open', () => {
    assert.equal(isSystemdJournal(999_999, { JOURNAL_STREAM: '1:2' }), false);
  });
});

describe('the line writer', () => {
  const file = join(tmpdir(), `pgsluice-writer-${process.pid}`);

  /** Writes the lines through a descriptor that does what the plan says, call by call, and then works. */
  function writeWith(plan: (string | number)[], lines: string[]): { content: string; lost: number } {
    const fd = openSync(file, 'w+');
    const write = ((...[, bytes, offset, length]: [number, Buffer, number, number]) => {
      const next = plan.shift() ?? length;
      if (typeof next === 'string') throw Object.assign(new Error(next), { code: next });
      return writeSync(fd, bytes, offset, Math.min(next, length));
    }) as typeof writeSync;
    try {
      const writer = new LineWriter(fd, write);
      for (const line of lines) writer.write(line);
      return { content: readFileSync(file, 'utf8'), lost: writer.linesLost };
    } finally {
      closeSync(fd);
      rmSync(file);
    }
  }

  test('goes on after EAGAIN and after a short write', () => {
    assert.deepEqual(writeWith([1, 'EAGAIN', 2, 'EAGAIN', 'EAGAIN'], ['first\n']), { content: 'first\n', lost: 0 });
  });

  test('drops a line without throwing when the reader is gone, and tries the next', () => {
    assert.deepEqual(writeWith(['EPIPE'], ['first\n', 'second\n']), { content: 'second\n', lost: 1 });
  });

  test('does not glue a line to the half of one that was cut off', () => {
    assert.deepEqual(writeWith([3, 'ENOSPC'], ['first\n', 'second\n']), { content: 'fir\nsecond\n', lost: 1 });
  });

  test('gives a line up when the reader is stuck, instead of waiting for ever', () => {
    const stuck = Array.from({ length: 200 }, () => 'EAGAIN');
    assert.deepEqual(writeWith(stuck, ['first\n', 'second\n']), { content: 'second\n', lost: 1 });
  });
});
