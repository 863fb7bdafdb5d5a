/** The text of docs/config.md: an introduction, and a table of options for each section, from their declarations. */
import { describeOptions, type OptionSchema } from './json-schema.ts';

const INTRODUCTION = `# Configuration

<!-- Written by \`npm run generate\` from src/config; changes here are lost. -->

One YAML file, named with \`--config\` or \`$PGSLUICE_CONFIG\`, else \`/etc/pgsluice/pgsluice.yaml\`; at most 1 MiB. Start
from [pgsluice.example.yaml](../config/pgsluice.example.yaml). Editors with a YAML language server complete and check
options through [pgsluice.schema.json](../config/pgsluice.schema.json). \`pgsluice check\` reports all problems at once,
each with its line and column. Unknown keys are errors. Anchors, aliases and merge keys (\`<<\`) may be used.

Sizes are \`8MiB\`, \`64kB\` or a number of bytes; durations have a unit: \`500ms\`, \`2s\`, \`5m\`, \`1h\`, \`1d\`.

## References

A value may contain \`\${NAME}\`, which is a variable of the environment, \`\${NAME:-default}\`, which is the default where that is
not set or is empty, and \`\${file:/path}\`, which is the content of a
file without its last line break, at most 1 MiB; for systemd credentials, that is
\`\${file:/run/credentials/pgsluice.service/NAME}\`. Write \`$\${\` for a literal \`\${\`. What comes in is text and never
read as YAML; for a number or a boolean it is converted. A variable that is not set, or a file that cannot be read, is an
error. A default may be empty, and holds no reference; as in a shell, \`\\}\` and \`\\\\\` stand for \`}\` and \`\\\` in it. Do not put
a secret into a default: the file then holds it. Inside \`{ }\` and \`[ ]\`, YAML needs quotes around a reference. What came in by a reference, and what is a secret, is shown by no message.

## The time of a run

In \`where\` and \`query\`, \`:slot\` stands for the time of the run as a \`timestamptz\` literal: for a scheduled run the
time it was due, for one by hand its start. Filter by it and not by \`now()\`, which differs between the segments of a
run, and once more when a run resumes.

In an archive with \`window\`, \`:from\` and \`:to\` stand for the bounds of the window that a run is of, as literals of the
type of its column, and \`:slot\` is refused. A table is narrowed to the window without them; a query must have both.

## Several tables

\`tables\` in the place of \`table\` makes an archive of each table that it finds, with all other options of the entry:

\`\`\`yaml
archives:
  events:
    tables: public.event_* # or a list
    exceptTables: event_tmp* # without a schema: in all of them
    schedule: "15 2 * * *"
\`\`\`

- **Patterns** are those of psql and pg_dump: \`*\` is any characters, \`?\` is one, capitals are folded, and double quotes take all of that
  away. Without a schema, tables are meant that the search path finds.
- **Found are** tables and partitioned tables, whether the role may read them or not. Not views, not foreign tables, not the server's own, nor a restore's \`pgsluice_restore_NUMBER\`; not
  partitions, nor tables that inherit from one that is found, as their rows are read through it. At most 1,000 for an entry; none at all is an
  error that names what is near.
- **Each archive** has the name of its table, \`event_1\`, with the schema before it where that is not \`public\`: \`audit.event_1\`. A table whose name no archive can have, or that another archive has, is told and left out. An archive of the same name and
  table that the config has of its own goes before: so one table gets other options, or a \`purge\`.
- **When**: the source is asked by \`check --online\`, \`plan\` and \`run\`, by the daemon at its start, at a reload, and at each slot of the entry. A
  table that has come up since has this very slot; one that is gone is taken out of the daemon, what it has in the destination stays, and \`list\`,
  \`verify\` and \`restore\` find it by its name. Both are in the log. While the source does not answer, or finds nothing any more, archives that are
  known stay, and fail aloud; at a start, those that have a folder in the destination.
- **When it fails** (no answer, nothing found, a table that is left out), that is one line in the log, an alarm (\`failure\`, and \`recovery\` once
  it is over), stands on the page and in \`status\` with exit code 1, and in the metric \`pgsluice_tables_failing\`, until the entry is well or
  leaves the config. The source is asked again each minute meanwhile. One that hangs keeps archives that are known from their slot
  for 5 s, and what is kept of an entry goes before what another finds by the same name.
- **Names of commands**: \`plan\`, \`run\` and \`list\` take the name of the entry for all of its archives; all commands take the name of one.
- **Not beside it**: \`purge\`, as rows are deleted only from a table that is named, and \`ping\`, as a run of one table would hide that of another.

## Reload

\`systemctl reload pgsluice\` (SIGHUP) reads the file again, with its references to files; variables of the environment keep
the values of the start. A file with any problem changes nothing: all problems are logged, and the old config goes on.
Runs that have begun go on with the config that they began with.
`;

/** The whole document, before it is formatted. */
export function buildDocs(): string {
  const { properties = {}, required = [] } = describeOptions();
  const isSection = (option: OptionSchema): boolean => option.type === 'object' || option.items?.type === 'object';
  const sections = Object.entries(properties).filter(([, option]) => isSection(option));
  const rest = Object.fromEntries(Object.entries(properties).filter(([, option]) => !isSection(option)));
  return [
    INTRODUCTION,
    ...sections.map(([name, section]) => describeSection(name, section, required.includes(name))),
    `## Other options\n\n${describeTable({ properties: rest })}`,
  ].join('\n');
}

function describeSection(name: string, section: OptionSchema, isRequired: boolean): string {
  const { additionalProperties: entry, items } = section;
  const isNamed = typeof entry === 'object';
  const title = isNamed ? `${name}.NAME` : items === undefined ? name : `${name}[]`;
  const text = `${section.description ?? ''}${isRequired ? ' At least one.' : ''}${items === undefined ? '' : ' A list.'}`;
  return `## \`${title}\`\n\n${text}\n\n${describeTable(isNamed ? entry : (items ?? section))}\n`;
}

function describeTable(section: OptionSchema): string {
  const head = ['| option | type | default | help |', '| --- | --- | --- | --- |'];
  return [...head, ...describeRows(section, '')].join('\n');
}

function describeRows({ properties = {}, required = [] }: OptionSchema, prefix: string): string[] {
  return Object.entries(properties).flatMap(([key, option]) => {
    if (option.properties !== undefined) return describeRows(option, `${prefix}${key}.`);
    const cells = [
      `\`${prefix}${key}\``,
      describeType(option),
      describeDefault(option, required.includes(key)),
      describeHelp(option),
    ];
    return [`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`];
  });
}

function describeType(option: OptionSchema): string {
  const { type, unit, anyOf, enum: values, const: constant, minimum, maximum } = option;
  if (unit !== undefined) return unit === 'bytes' ? 'size' : 'duration';
  if (constant !== undefined) return `\`${JSON.stringify(constant)}\``;
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ');
  if (anyOf !== undefined) return anyOf.map(describeType).join(' or ');
  if (type === 'integer') return `integer, ${minimum ?? ''} to ${maximum ?? ''}`;
  return { string: 'text', array: 'list', object: 'mapping' }[String(type)] ?? String(type);
}

function describeDefault({ default: value, defaultText }: OptionSchema, isRequired: boolean): string {
  if (isRequired) return 'required';
  if (value !== undefined) return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
  return defaultText ?? '';
}

function describeHelp({ description = '', secret = false }: OptionSchema): string {
  return secret ? `${description} Never shown.` : description;
}
