/** Room for what may grow more than the rest: so much the row has beyond the worst of all other values. */
let room: usize = 0;

export function setRoom(bytes: usize): void {
  room = bytes;
}

/** Whether there is room for `bytes` where `foreseen` were reckoned with; then it is taken. */
export function takeRoom(bytes: usize, foreseen: usize): bool {
  if (bytes <= foreseen) return true;
  if (bytes - foreseen > room) return false;
  room -= bytes - foreseen;
  return true;
}
