/** How bytes are escaped in a JSON string, as the server's escape_json does it. */

const LONG_ESCAPE = 1;

/** The digits of `\u00xx`. */
export const HEX = Uint8Array.from(Buffer.from('0123456789abcdef'));

/** For each byte: 0 when it stands for itself, 1 for `\u00xx`, else the letter behind the backslash. */
export const ESCAPES = buildEscapes();

function buildEscapes(): Uint8Array {
  const escapes = new Uint8Array(256);
  escapes.fill(LONG_ESCAPE, 0, 0x20);
  const letters: [number, string][] = [
    [0x08, 'b'],
    [0x09, 't'],
    [0x0a, 'n'],
    [0x0c, 'f'],
    [0x0d, 'r'],
    [0x22, '"'],
    [0x5c, '\\'],
  ];
  for (const [byte, letter] of letters) escapes[byte] = letter.charCodeAt(0);
  return escapes;
}
