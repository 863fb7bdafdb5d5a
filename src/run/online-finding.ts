/** What `check --online` has found. */

export interface OnlineFinding {
  level: 'ok' | 'warning' | 'error';
  /** The option that it is about, such as `archives.fetch_queue`. */
  subject: string;
  message: string;
  hint?: string;
  /** Of an archive that can be planned: how many segments a run would have now. */
  segments?: number;
}
