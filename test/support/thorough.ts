/**
 * How often a test tries what comes by chance, or by a long table: `usual` is what finds the faults that there were, and
 * `thorough` is taken where PGSLUICE_TEST_THOROUGH is set, as `.ci/run` does.
 */
export function triesOf(usual: number, thorough: number): number {
  return (process.env['PGSLUICE_TEST_THOROUGH'] ?? '') === '' ? usual : thorough;
}
