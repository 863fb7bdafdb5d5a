/** Gathers what comes one by one, as one query is sent for many. */
export async function* inParts<T>(items: AsyncIterable<T> | Iterable<T>, most: number): AsyncGenerator<T[], undefined> {
  let part: T[] = [];
  for await (const item of items) {
    part.push(item);
    if (part.length < most) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
  return undefined;
}
