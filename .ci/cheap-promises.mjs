/**
 * Loaded into each process of tests before they are: node:test watches each promise until it is collected, to know of what
 * is thrown astray which test it comes from. That takes a tenth to a quarter of the CPU of tests that run archives in their
 * own process. Without it, an error that nobody catches still fails its file, with its stack, but no test of it by name. A
 * file that is run by hand, without .ci/test.mjs, is not touched.
 */
import hooks from 'node:async_hooks';

const { createHook } = hooks;
hooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false });
// It takes the function when it is loaded.
await import('node:test');
hooks.createHook = createHook;

// What node:test says of them has no stack.
for (const event of ['uncaughtExceptionMonitor', 'unhandledRejection'])
  process.on(event, (error) => console.error(`${event}:`, error));
