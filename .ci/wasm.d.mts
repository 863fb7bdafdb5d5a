export interface WasmSources {
  folder: string;
  entry: string;
}
export const MODULES: { encoder: WasmSources; scanner: WasmSources };
export function compileModule(sources: WasmSources): Promise<Uint8Array>;
