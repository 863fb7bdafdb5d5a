/** Says of each column of the archive how its values go into the target. */
import type { Client } from '../postgres/connect.ts';
import type { ManifestHead } from '../ledger/manifest.ts';
import type { RestoreColumn } from '../format/jsonl/forms.ts';
import { resolveForms } from './forms.ts';
import type { Target } from './target.ts';

/** The archive's columns in the order of its lines; `doubts` says of which not all values can come back. */
export async function planColumns(
  client: Client,
  manifest: ManifestHead,
  target: Target,
): Promise<{ columns: RestoreColumn[]; doubts: string[] }> {
  const matches = manifest.columns.map(({ name }) => target.columns.find((column) => column.name === name));
  const filled = matches.filter((column) => column !== undefined);
  const found = await resolveForms(client, filled);
  const columns = manifest.columns.map(({ name, nullable, encoding }, index): RestoreColumn => {
    const match = matches[index];
    const way = match === undefined || match.isGenerated ? undefined : found[filled.indexOf(match)];
    if (way === undefined) return { name };
    const { form, input } = way;
    if (encoding === 'text') return { name, form: { kind: 'value' }, input };
    return { name, form: form.kind === 'json' && !nullable ? { ...form, notNull: true } : form, input };
  });
  const texts = new Set(manifest.columns.filter(({ encoding }) => encoding === 'text').map(({ name }) => name));
  const doubts = filled.flatMap(({ name, type }, index) => {
    const doubt = found[index]?.doubt;
    return doubt === undefined || texts.has(name) ? [] : [`column ${name}, ${type}: ${doubt}`];
  });
  return { columns, doubts };
}
