/** What bash completes, for /usr/share/bash-completion/completions/. */
import { COMMAND_WORDS, type OptionWords, PROGRAM_OPTIONS } from './words.ts';

/** The whole script. */
export function buildBashCompletion(): string {
  const names = COMMAND_WORDS.map(({ name }) => name);
  return `# bash completion for pgsluice, made from its table of commands
_pgsluice() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words='${[...names, ...PROGRAM_OPTIONS.map(({ name }) => name)].join(' ')}'
  else
    case "\${COMP_WORDS[1]} $before" in
${pattern('file')}
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
${pattern('text')}
        return
        ;;
    esac
    case \${COMP_WORDS[1]} in
${COMMAND_WORDS.map(({ name, options }) => `      ${name}) words='${options.map((option) => option.name).join(' ')}' ;;`).join('\n')}
    esac
    case "\${COMP_WORDS[1]} $word" in
      *' -'*) ;;
${COMMAND_WORDS.filter(({ takesFiles }) => takesFiles)
  .map(
    ({ name }) => `      '${name} '*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;`,
  )
  .join('\n')}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _pgsluice pgsluice
`;
}

/** The line of \`case\` for all options that a value of this kind stands behind. */
function pattern(kind: OptionWords['value']): string {
  const found = COMMAND_WORDS.flatMap(({ name, options }) =>
    options.filter(({ value }) => value === kind).map((option) => `'${name} ${option.name}'`),
  );
  return `      ${found.join(' | ')})`;
}
