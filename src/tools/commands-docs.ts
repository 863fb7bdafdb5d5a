/** The text of docs/commands.md, from the table of commands. */
import { COMMANDS } from '../commands/commands.ts';
import { VARIABLES, type CommandEntry, type CommandOption } from '../commands/entry.ts';
import { exitsOf } from '../commands/help.ts';

const INTRODUCTION = `# Commands

<!-- Written by \`npm run generate\` from src/commands/commands.ts; changes here are lost. -->

All take \`--config FILE\` (default: \`$PGSLUICE_CONFIG\`, then \`/etc/pgsluice/pgsluice.yaml\`) and \`--json\`, which prints one
JSON document on stdout; logs and progress go to stderr. What a command prints is text to a terminal: control characters in
names and messages are shown as \`\\n\`, \`\\x1b\` and \`\\u202e\`, and very long ones are cut. In JSON, they are \`\\u…\`.
`;

/** The whole document, before it is formatted. */
export function buildCommandsDocs(): string {
  return [INTRODUCTION, ...COMMANDS.map(describeCommand), describeExits(), describeEnvironment()].join('\n');
}

function describeCommand(entry: CommandEntry): string {
  const { name, arguments: given, does, options, example } = entry;
  return [
    `## \`pgsluice ${name}${given === '' ? '' : ` ${given}`}\``,
    '',
    `${capitalize(does)}.`,
    '',
    '```sh',
    example,
    '```',
    '',
    ...(options.length === 0 ? [] : ['| option | meaning |', '| --- | --- |', ...options.map(describeOption), '']),
  ].join('\n');
}

function describeOption({ flags, does, default: byDefault, required }: CommandOption): string {
  const more = required === true ? ' (required)' : byDefault === undefined ? '' : ` (default: ${byDefault})`;
  return `| \`${flags}\` | ${does}${more} |`;
}

function describeExits(): string {
  const rows = COMMANDS.flatMap((entry) =>
    exitsOf(entry)
      .filter(([code]) => code !== '0')
      .map(([code, meaning]) => `| \`${entry.name}\` | ${code} | ${meaning} |`),
  );
  return ['## Exit codes', '', '0: done.', '', '| command | code | meaning |', '| --- | --- | --- |', ...rows, ''].join(
    '\n',
  );
}

function describeEnvironment(): string {
  const rows = Object.entries(VARIABLES).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return ['## Environment', '', '| variable | meaning |', '| --- | --- |', ...rows, ''].join('\n');
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
