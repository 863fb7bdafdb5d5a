/** Where the daemon of a config takes orders, read without its secrets: an operator's shell does not have them. */
import { statSync } from 'node:fs';
import { parseDraft } from './parse.ts';
import { readText } from './read.ts';

/** Where the daemon listens by default: as the service of systemd/pgsluice.service, and started in any other way. */
export const SERVICE_SOCKET = '/run/pgsluice/control.sock';
const DEFAULT_STATE = '/var/lib/pgsluice';

type Look = (file: string) => 'there' | 'denied' | 'absent';

/**
 * The socket of the daemon that has this config: the first that is there, else the first that this user may not see. A
 * daemon that systemd started has it elsewhere than the same one started by hand. Throws where the config cannot be read.
 */
export function findControlSocket(
  configFile: string,
  { RUNTIME_DIRECTORY, STATE_DIRECTORY }: Readonly<NodeJS.ProcessEnv>,
  look: Look = lookAt,
): string {
  const { control, state } = optionsOf(configFile);
  if (control !== undefined) return control;
  const folder = firstOf(RUNTIME_DIRECTORY) ?? state ?? firstOf(STATE_DIRECTORY) ?? DEFAULT_STATE;
  const ofConfig = `${folder}/control.sock`;
  const candidates = state === undefined ? [SERVICE_SOCKET, ofConfig] : [ofConfig];
  const found = candidates.map((socket) => ({ socket, is: look(socket) }));
  return (found.find(({ is }) => is === 'there') ?? found.find(({ is }) => is === 'denied'))?.socket ?? ofConfig;
}

/** Those that are written plainly; whatever else is wrong with the config is no matter here. */
function optionsOf(configFile: string): { control?: string | undefined; state?: string | undefined } {
  const text = readText(configFile);
  try {
    const tree: unknown = parseDraft(configFile, text).draft.document.toJS({ maxAliasCount: 1000 });
    if (typeof tree !== 'object' || tree === null) return {};
    const plain = (value: unknown): string | undefined =>
      typeof value === 'string' && value.startsWith('/') && !value.includes('${') ? value : undefined;
    return { control: plain(Reflect.get(tree, 'control')), state: plain(Reflect.get(tree, 'state')) };
  } catch {
    return {};
  }
}

function firstOf(list = ''): string | undefined {
  const [first = ''] = list.split(':');
  return first === '' ? undefined : first;
}

function lookAt(file: string): ReturnType<Look> {
  try {
    statSync(file);
    return 'there';
  } catch (error) {
    return error instanceof Error && Reflect.get(error, 'code') === 'EACCES' ? 'denied' : 'absent';
  }
}
