import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { openConfig, type Invocation } from '../../../src/commands/invocation.ts';
import { UsageError } from '../../../src/base/errors.ts';
import { parseEnvironment, readServiceEnvironment } from '../../../src/config/environment-file.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-environment-'));
after(() => rmSync(folder, { recursive: true }));
const config = path.join(folder, 'pgsluice.yaml');
const file = path.join(folder, 'environment');
const CONFIG = `
sources: { default: { url: '\${DATABASE_URL}' } }
destinations: { default: { url: 's3://bucket/pg', region: eu-west-1 } }
archives: { events: { table: public.events } }
`;

function open(environment: NodeJS.ProcessEnv): ReturnType<typeof openConfig> {
  return openConfig({ configFile: config, environment, json: false } as Invocation);
}

describe('the file with the variables of the service', () => {
  test('gives a command what its shell lacks, also for the libraries, and leaves what is set', () => {
    writeFileSync(config, CONFIG);
    writeFileSync(file, 'DATABASE_URL=postgres://u:of-the-service@h/d\nAWS_PROFILE=of-the-service\n', { mode: 0o600 });
    const environment: NodeJS.ProcessEnv = { AWS_PROFILE: 'mine' };
    assert.equal(open(environment).sources['default']?.url, 'postgres://u:of-the-service@h/d');
    assert.deepEqual(environment, { AWS_PROFILE: 'mine', DATABASE_URL: 'postgres://u:of-the-service@h/d' });
    assert.equal(open({ DATABASE_URL: 'postgres://mine@h/d' }).sources['default']?.url, 'postgres://mine@h/d');
  });

  test('is not taken where others can write it, and the refusal says so', () => {
    writeFileSync(file, 'DATABASE_URL=postgres://u:p@h/d\n');
    chmodSync(file, 0o622);
    const { values, problem = '' } = readServiceEnvironment(config);
    assert.deepEqual(values, {});
    assert.match(problem, /other users can write it/);
    assert.throws(
      () => open({}),
      (error) =>
        error instanceof UsageError &&
        error.problems[0]?.includes('DATABASE_URL is not set') === true &&
        error.problems[1] === problem,
    );
    chmodSync(file, 0o600);
    assert.deepEqual(
      readServiceEnvironment(config, 12_345).values,
      process.getuid?.() === 0 ? { DATABASE_URL: 'postgres://u:p@h/d' } : {},
    );
  });

  test('steers no process', () => {
    writeFileSync(file, 'NODE_OPTIONS=--inspect\nLD_PRELOAD=/x.so\nPATH=/x\nPGPASSFILE=/y\n', { mode: 0o600 });
    assert.deepEqual(readServiceEnvironment(config).values, { PGPASSFILE: '/y' });
  });

  test('may be missing', () => {
    assert.deepEqual(readServiceEnvironment('/nowhere/pgsluice.yaml'), {
      file: '/nowhere/environment',
      values: {},
      problem: undefined,
    });
  });

  test('is read as systemd reads it', () => {
    const text = `# a comment\n; another\n\nA=plain\n  B = no\nC='si"ngle $x'\nD="dou\\"ble \\$x"\nE=first \\\nsecond\nF=\nG=a=b # c\r\n`;
    assert.deepEqual(parseEnvironment(text), {
      A: 'plain',
      C: 'si"ngle $x',
      D: 'dou"ble $x',
      E: 'first second',
      F: '',
      G: 'a=b # c',
    });
  });
});
