/**
 * How a value is to be checked by zod that few others are checked like: zod writes and compiles code for each schema at its first use,
 * a quarter of a millisecond each, which pays where thousands of values follow.
 */
export const WITHOUT_CODE = { jitless: true } as const;
