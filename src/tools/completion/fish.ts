/** What fish completes, for /usr/share/fish/vendor_completions.d/. */
import { COMMAND_WORDS, type CommandWords, type OptionWords, PROGRAM_OPTIONS } from './words.ts';

/** The whole script. */
export function buildFishCompletion(): string {
  return [
    '# fish completion for pgsluice, made from its table of commands',
    'complete -c pgsluice -f',
    ...PROGRAM_OPTIONS.map((option) => describeOption('__fish_use_subcommand', option)),
    ...COMMAND_WORDS.flatMap(describeCommand),
    '',
  ].join('\n');
}

function describeCommand({ name, does, takesFiles, options }: CommandWords): string[] {
  const condition = `__fish_seen_subcommand_from ${name}`;
  return [
    `complete -c pgsluice -n __fish_use_subcommand -a ${name} -d ${quote(does)}`,
    ...(takesFiles ? [`complete -c pgsluice -n ${quote(condition)} -F`] : []),
    ...options.map((option) => describeOption(condition, option)),
  ];
}

function describeOption(condition: string, { name, does, value }: OptionWords): string {
  const behind = value === undefined ? '' : value === 'file' ? ' -r -F' : ' -x';
  return `complete -c pgsluice -n ${quote(condition)} -l ${name.slice(2)}${behind} -d ${quote(does)}`;
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
