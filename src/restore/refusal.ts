/** Everything that stands against a restore, found before anything was written. */
export class Refusal extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'Refusal';
    this.problems = problems;
  }
}
