/** The words of a command line, from the table of commands, as the scripts of the shells need them. */
import { COMMANDS } from '../../commands/commands.ts';
import { COMMON_OPTIONS, type CommandEntry, type CommandOption } from '../../commands/entry.ts';

export interface CommandWords {
  name: string;
  does: string;
  /** Whether files come behind it. */
  takesFiles: boolean;
  options: readonly OptionWords[];
}

export interface OptionWords {
  /** With its dashes. */
  name: string;
  does: string;
  /** What stands behind it; undefined for nothing. */
  value: 'file' | 'text' | undefined;
  repeats: boolean;
}

/** Placeholders that stand for a file. */
const FILE = /<(?:file|path)>/;

const HELP: OptionWords = { name: '--help', does: 'show the usage', value: undefined, repeats: false };

/** Before any command. */
export const PROGRAM_OPTIONS: readonly OptionWords[] = [
  HELP,
  { name: '--version', does: 'show the version', value: undefined, repeats: false },
];

export const COMMAND_WORDS: readonly CommandWords[] = COMMANDS.map(wordsOf);

function wordsOf({ name, does, arguments: given, options }: CommandEntry): CommandWords {
  const all = [...options, ...COMMON_OPTIONS].map(optionOf);
  return { name, does, takesFiles: FILE.test(given), options: [...all, HELP] };
}

function optionOf({ flags, does, repeats = false }: CommandOption): OptionWords {
  const [name = '', placeholder] = flags.split(' ');
  const value = placeholder === undefined ? undefined : FILE.test(placeholder) ? 'file' : 'text';
  return { name, does, value, repeats };
}
