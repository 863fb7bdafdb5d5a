/** What the test of the structure takes from layers.js. */
export const ROOMS: readonly (readonly [name: string, reason: string])[];
