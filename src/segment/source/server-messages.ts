/** What rows in binary form are made of on the wire: of a COPY … TO STDOUT (FORMAT binary), and of a query. */

/** Types of protocol messages: one byte, before four of length. */
export const MESSAGE = {
  dataRow: 0x44,
  copyData: 0x64,
  copyDone: 0x63,
  copyOut: 0x48,
  commandComplete: 0x43,
  error: 0x45,
  notice: 0x4e,
  ready: 0x5a,
} as const;

export const HEADER_BYTES = 5;

/** How rows come. The fields of a row look the same either way. */
export interface RowForm {
  /** Type of the message that each row comes in. */
  message: number;
  /** Whether a signature stands before the rows, and a trailer behind them. */
  isFramed: boolean;
  /** The server's word for how many it sent, in CommandComplete. */
  tag: RegExp;
}

export const COPY_FORM: RowForm = { message: MESSAGE.copyData, isFramed: true, tag: /^COPY (\d+)$/ };
export const QUERY_FORM: RowForm = { message: MESSAGE.dataRow, isFramed: false, tag: /^SELECT (\d+)$/ };

/** At the start of the data of a COPY: `PGCOPY\n\xff\r\n\0`, no flags, no extension. */
export const SIGNATURE = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');

/** In place of a row's count of fields: the end of the data. */
export const TRAILER = 0xffff;

/** In CopyOutResponse: that the rows come in binary form. */
export const BINARY_FORM = 1;

/** The text of a CommandComplete, such as `COPY 12`. */
export function commandTag(body: Buffer): string {
  return body.toString('latin1', 0, body.length - 1);
}

/** Rows that the server says it sent; NaN when the tag is of something else. */
export function rowsSent(tag: string, form: RowForm): number {
  return Number(form.tag.exec(tag)?.[1] ?? Number.NaN);
}

/** The error of an ErrorResponse, or of a NoticeResponse. Its fields are one byte of kind, then text up to a zero byte. */
export function serverError(body: Buffer): Error & { code: string | undefined } {
  const fields = new Map<string, string>();
  for (const field of body.toString('utf8').split('\0')) if (field !== '') fields.set(field.charAt(0), field.slice(1));
  return Object.assign(new Error(fields.get('M') ?? 'an error without a message'), {
    code: fields.get('C'),
    detail: fields.get('D'),
    hint: fields.get('H'),
  });
}
