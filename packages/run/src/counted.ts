/** A number and what it counts, in words: `1 class`, `3 classes`. @param several default: with an s */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}
