/** The text of docs/errors.md, from the declarations of the codes. */
import type { Declaration } from '../base/failures/declaration.ts';
import { FAILURE_GROUPS } from '../base/failures.ts';

const INTRODUCTION = `# Errors

<!-- Written by \`npm run generate\` from src/base/failures/; changes here are lost. -->

A failure has a stable code. The log line, the texts of the commands, \`--json\`, the page, the alarms and the label
\`reason\` of the metrics carry it. The hint that is printed beside it may know more than what stands here: the name of the
table, the host, the number that is needed.

A failure that is tried again is tried for \`retry.for\`, and up to \`retry.attempts\` times, with growing pauses; each segment on
its own. [s3.md](s3.md#retries) has the policy. What is not tried again ends the run at once; finished segments stay, and the
same run id goes on from there.

A failure ends \`run\` and \`restore\` with exit code 1, and \`plan\` with 2, where nothing else is said. A config that is
wrong has no code: it is refused with positions and exit code 2.
`;

const PATIENCE = { once: 'yes, once', short: 'yes, for a fifth of `retry.for`' };

/** The whole document, before it is formatted. */
export function buildErrorsDocs(): string {
  return [INTRODUCTION, ...FAILURE_GROUPS.flatMap(({ title, declarations }) => group(title, declarations))].join('\n');
}

function group(title: string, declarations: Readonly<Record<string, Declaration>>): string[] {
  return [`## ${title}\n`, ...Object.entries(declarations).map(([code, declaration]) => section(code, declaration))];
}

/** The heading is the code alone, so that its anchor is the code. */
function section(code: string, { meaning, hint, transient, retried, patience, exit }: Declaration): string {
  const again = retried ?? (patience === undefined ? (transient === true ? 'yes' : 'no') : PATIENCE[patience]);
  return [
    `### ${code}\n`,
    `${meaning}\n`,
    `- What to do: ${hint}`,
    `- Tried again: ${again}.`,
    ...(exit === undefined ? [] : [`- Exit code: ${exit}.`]),
    '',
  ].join('\n');
}
