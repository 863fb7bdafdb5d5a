export function compileModule(): Promise<Uint8Array>;
