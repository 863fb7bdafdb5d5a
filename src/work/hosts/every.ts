/** What is done for the queue again and again, such as giving a sign. */

/** Does `work` every `ms`, never twice at once, until the timer is cleared. A queue that does not answer says so itself. */
export function every(ms: number, work: () => Promise<void>): NodeJS.Timeout {
  let isBusy = false;
  return setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    void work()
      .catch(() => undefined)
      .finally(() => (isBusy = false));
  }, ms);
}
