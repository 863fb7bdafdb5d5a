/** JSON scalars as plain text. */

/** A JSON scalar without its quotes: text as it is, numbers with all their digits. */
export function unquote(json: string): string {
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}
