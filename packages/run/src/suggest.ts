/** Edits that make one word of another: letters put in, left out, changed, or swapped with their neighbour. */
function edits(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}

/** ' (did you mean x?)' where a candidate is near to the word, else ''. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const plain = word.toLowerCase();
  const most = Math.max(1, Math.floor(plain.length / 3));
  const [nearest] = candidates
    // Of hundreds, most need more edits for their length alone.
    .filter(({ length }) => Math.abs(length - word.length) <= most)
    .map((candidate) => ({ candidate, distance: edits(plain, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  if (word === '') return '';
  const begins = plain.length >= 2 && candidates.find((name) => name.toLowerCase().startsWith(plain));
  const meant = nearest !== undefined && nearest.distance <= most ? nearest.candidate : begins;
  return meant ? ` (did you mean ${meant}?)` : '';
}
