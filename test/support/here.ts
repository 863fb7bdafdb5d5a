/** Runs command lines in the process of the test, which saves the start of one each time. */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runCommandLine } from '../../src/command-line.ts';
import './bundled-threads.ts';
import type { Ending } from './cli.ts';

/**
 * `pgsluice ARGS…` from its command line to its exit code, for what a command does and says. A signal, an end that hangs, a
 * terminal, what libraries look for in the environment, and that no secret is said which another config of the same file has
 * registered, need a process: `runCli`.
 */
export async function runHere(args: readonly string[], environment: Record<string, string> = {}): Promise<Ending> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const said = Promise.all([text(stdout), text(stderr)]);
  const code = await runCommandLine(args, {
    environment: { ...environment },
    // No terminal: nothing more of a stream is looked at than what any stream has.
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
  });
  stdout.end();
  stderr.end();
  const [out, err] = await said;
  return { code, signal: null, stdout: out, stderr: err };
}
