import type { Finding } from './finding.js';
import type { LeaveOneOut } from './leave-one-out.js';

/**
 * Labels that are likely wrong, by confident learning (Northcutt, Jiang, Chuang, JAIR 2021): a row is another class's where its
 * probability there is at least what that class's own rows have on the average.
 */
export function wrongLabels(found: LeaveOneOut, labels: Int32Array, numClasses: number): Finding[] {
  const { own, kept, classes, probabilities } = found;
  const [sums, counts] = [new Float64Array(numClasses), new Float64Array(numClasses)];
  for (const [place, label] of labels.entries()) {
    if (Number.isNaN(own[place])) continue;
    sums[label]! += own[place]!;
    counts[label]!++;
  }
  const findings: Finding[] = [];
  for (const [place, label] of labels.entries()) {
    if (Number.isNaN(own[place])) continue;
    for (let at = place * kept; at < (place + 1) * kept; at++) {
      const [other, probability] = [classes[at]!, probabilities[at]!];
      if (counts[other] === 0 || probability < sums[other]! / counts[other]!) continue;
      if (other !== label)
        findings.push({
          kind: 'wrong-label',
          score: probability - own[place]!,
          images: [place],
          classes: [label, other],
        });
      break;
    }
  }
  return findings;
}
