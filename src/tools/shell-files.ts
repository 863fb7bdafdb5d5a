/** What a shell knows of the commands: the man page and the completions, by their paths below `dist`. */
import { buildBashCompletion } from './completion/bash.ts';
import { buildFishCompletion } from './completion/fish.ts';
import { buildZshCompletion } from './completion/zsh.ts';
import { buildManPage } from './man-page.ts';

/** Path and text of each file. */
export function buildShellFiles(version: string): [path: string, text: string][] {
  return [
    ['man/pgsluice.1', buildManPage(version)],
    ['completion/pgsluice.bash', buildBashCompletion()],
    ['completion/_pgsluice', buildZshCompletion()],
    ['completion/pgsluice.fish', buildFishCompletion()],
  ];
}
