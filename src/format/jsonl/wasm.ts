/** Opens a module that `.ci/wasm.mjs` has compiled, over a memory of its own whose size never changes. */

const PAGE_BYTES = 64 * 1024;

/** As much of the global as is used; the types of Node do not have it. */
interface WebAssemblyApi {
  Memory: new (limits: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
}

/** `base64` is the module. Throws on a processor without SIMD, and where virtual memory is limited. */
export function openModule(base64: string, memoryBytes: number): { buffer: ArrayBuffer; exports: unknown } {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };
  const pages = Math.ceil(memoryBytes / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const module = new WebAssembly.Module(Buffer.from(base64, 'base64'));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return { buffer: memory.buffer, exports };
}
