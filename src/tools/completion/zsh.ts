/** What zsh completes, for /usr/share/zsh/vendor-completions/. */
import { COMMAND_WORDS, type CommandWords, type OptionWords, PROGRAM_OPTIONS } from './words.ts';

/** The whole file, which is the body of a function. */
export function buildZshCompletion(): string {
  return `#compdef pgsluice
# zsh completion for pgsluice, made from its table of commands
if (( CURRENT == 2 )); then
  local -a commands=(
${COMMAND_WORDS.map(({ name, does }) => `    ${quote(`${name}:${does.replaceAll(':', '\\:')}`)}`).join('\n')}
  )
  _describe -t commands command commands
  _arguments -S ${PROGRAM_OPTIONS.map(describeOption).join(' ')}
  return
fi
shift words
(( CURRENT-- ))
case $words[1] in
${COMMAND_WORDS.map(describeCommand).join('\n')}
esac
`;
}

function describeCommand({ name, options, takesFiles }: CommandWords): string {
  const lines = [...options.map(describeOption), takesFiles ? "'*:file:_files'" : "'*: :'"];
  return `  ${name})\n    _arguments -S \\\n${lines.map((line) => `      ${line}`).join(' \\\n')}\n    ;;`;
}

function describeOption({ name, does, value, repeats }: OptionWords): string {
  const text = does.replace(/[\\[\]:]/g, '\\$&');
  const behind = value === undefined ? '' : value === 'file' ? ':file:_files' : ': : ';
  return quote(`${repeats ? '*' : ''}${name}[${text}]${behind}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
