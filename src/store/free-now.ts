/** Gives memory back before the garbage collector would. */

/**
 * Gives the memory of a buffer back without waiting for the garbage collector, which sees only small objects and takes
 * its time: dead parts would pile up to more than what is in use. A small piece of something bigger is left alone.
 */
export function freeNow(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength <= buffer.byteLength + 1) memory.transfer(0);
}
