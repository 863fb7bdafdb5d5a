/** The man page, pgsluice(1), from the table of commands. */
import { COMMANDS } from '../commands/commands.ts';
import { COMMON_OPTIONS, DEFAULT_CONFIG, PURPOSE, VARIABLES, type CommandEntry } from '../commands/entry.ts';
import { exitsOf } from '../commands/help.ts';
import type { CommandOption } from '../commands/entry.ts';

/** The whole page, in the language of man(7). */
export function buildManPage(version: string): string {
  return [
    `.TH PGSLUICE 1 "" "pgsluice ${roff(version)}" "User Commands"`,
    '.SH NAME',
    `pgsluice \\- archives large Postgres tables to S3`,
    '.SH SYNOPSIS',
    '.B pgsluice',
    '.I command',
    '[\\fIargument\\fR...] [\\fIoption\\fR...]',
    '.SH DESCRIPTION',
    paragraph(PURPOSE),
    '.PP',
    paragraph(
      'The service is pgsluice.service: its config is checked by `pgsluice check --online`, and put in force by `systemctl reload pgsluice`.',
    ),
    '.SH OPTIONS OF ALL COMMANDS',
    ...COMMON_OPTIONS.map(describeOption),
    '.SH COMMANDS',
    ...COMMANDS.map(describeCommand),
    '.SH EXIT STATUS',
    '0: done. Of each command:',
    ...COMMANDS.map(describeExits),
    '.SH ENVIRONMENT',
    ...Object.entries(VARIABLES).map(([name, meaning]) => term(bold(name), meaning)),
    '.SH FILES',
    term(bold(DEFAULT_CONFIG), 'the config'),
    term(
      bold('/etc/pgsluice/environment'),
      'variables of the service, one NAME=value a line; as root, commands read it as well',
    ),
    term(bold('/var/lib/pgsluice'), 'history and pauses of the daemon'),
    '.SH SEE ALSO',
    '.BR systemctl (1),',
    '.BR journalctl (1)',
    '',
  ].join('\n');
}

function describeCommand({ name, arguments: given, does, options, example }: CommandEntry): string {
  return [
    `.SS "${roff(`pgsluice ${name} ${given}`.trimEnd())}"`,
    paragraph(`${does.charAt(0).toUpperCase()}${does.slice(1)}.`),
    ...options.map(describeOption),
    '.PP',
    `Example: ${bold(example)}`,
  ].join('\n');
}

function describeOption({ flags, does, default: byDefault, required }: CommandOption): string {
  const [name = '', value] = flags.split(' ');
  const more = required === true ? ' (required)' : byDefault === undefined ? '' : ` (default: ${byDefault})`;
  return term(`${bold(name)}${value === undefined ? '' : ` \\fI${roff(value.slice(1, -1))}\\fR`}`, `${does}${more}`);
}

function describeExits(entry: CommandEntry): string {
  const meanings = exitsOf(entry).filter(([code]) => code !== '0');
  return term(bold(entry.name), meanings.map(([code, meaning]) => `${code}: ${meaning}`).join('. '));
}

function term(head: string, text: string): string {
  return `.TP\n${head}\n${paragraph(text)}`;
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** A line that begins with a dot or a quote would be taken for a request. */
function paragraph(text: string): string {
  return roff(text).replace(/^[.']/, '\\&$&');
}

/** A plain hyphen may be broken at, and is not what a person can copy. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('`', '\\(ga').replaceAll('"', '\\(dq');
}
