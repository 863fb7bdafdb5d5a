/** The fixed bytes of a line, which our writers and readers share: what stands around the values of its columns. */

/** For a line of `{"a":1,"b":2}`: the prefixes `{"a":` and `,"b":`, and the end `}`, line feed included. */
export interface LineFrame {
  /** By column: what stands before its value. */
  prefixes: readonly string[];
  /** Behind the last value; the whole line when there are no columns. */
  end: string;
}

/** The frame of lines whose columns have these names, in this order. Names are escaped as the server's escape_json does it. */
export function lineFrame(names: readonly string[]): LineFrame {
  return {
    prefixes: names.map((name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    end: names.length === 0 ? '{}\n' : '}\n',
  };
}
