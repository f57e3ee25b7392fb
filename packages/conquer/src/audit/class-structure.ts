import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { kMeans } from '../clustering/kmeans.js';
import { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { Finding } from './finding.js';
import type { LeaveOneOut } from './leave-one-out.js';

/** Images that a class needs to be looked at. */
const LEAST = 6;
/** Share of the probability that the other class has, from which on two cannot be told apart; half is a toss-up. */
const ALIKE = 0.4;
/** Share of a class that a kind in it has at least. */
const LEAST_SHARE = 0.2;
/** How much nearer another class has to be than the other kind, in cosines: by a little it often is. */
const NEARER = 0.2;
/** Images of a class that are shown. */
const EXAMPLES = 4;

/** Pairs of classes that are really one: of each, the other gets as much of what both get as the label itself. */
export function classesThatAreOne(found: LeaveOneOut, labels: Int32Array, numClasses: number): Finding[] {
  const members = membersOf(labels, numClasses);
  // Of each class, the sum of what others have of the two's probability.
  const sums = members.map(() => new Map<number, number>());
  for (const [place, label] of labels.entries()) {
    const own = found.own[place]!;
    if (Number.isNaN(own)) continue;
    for (let at = place * found.kept; at < (place + 1) * found.kept; at++) {
      const other = found.classes[at]!;
      if (other === label) continue;
      const share = found.probabilities[at]! / (own + found.probabilities[at]!);
      sums[label]!.set(other, (sums[label]!.get(other) ?? 0) + share);
    }
  }
  const shareOf = (a: number, b: number) => (sums[a]!.get(b) ?? 0) / members[a]!.length;
  const findings: Finding[] = [];
  for (const [a, others] of sums.entries())
    for (const b of others.keys()) {
      if (b < a || members[a]!.length < LEAST || members[b]!.length < LEAST) continue;
      const score = (shareOf(a, b) + shareOf(b, a)) / 2;
      if (score >= ALIKE)
        findings.push({
          kind: 'one-class',
          score,
          images: [...members[a]!.slice(0, EXAMPLES), ...members[b]!.slice(0, EXAMPLES)],
          classes: [a, b],
        });
    }
  return findings;
}

/** Classes that are really two: two kinds of images, each nearer to another class than to the other kind. */
export function classesThatAreTwo(
  rows: Tensor,
  labels: Int32Array,
  numClasses: number,
  stop?: StopCheck,
): Finding[] {
  const members = membersOf(labels, numClasses);
  return noGrad(() =>
    scope(() => {
      const centred = rows.sub(rows.mean(0));
      const means = members.map((places) => (places.length === 0 ? null : meanOf(centred, places).keep()));
      const findings: Finding[] = [];
      try {
        for (const [label, places] of members.entries()) {
          if (places.length < LEAST) continue;
          checkStop(stop);
          const finding = scope(() => kindsOf(centred, places, label, means));
          if (finding) findings.push(finding);
        }
      } finally {
        for (const mean of means) mean?.dispose();
      }
      return findings;
    }),
  );
}

function kindsOf(
  rows: Tensor,
  places: readonly number[],
  label: number,
  means: readonly (Tensor | null)[],
): Finding | null {
  const own = rows.indexSelect(0, tensor(BigInt64Array.from(places, BigInt)));
  const { assignments, centroids } = kMeans(own, 2, { random: new Random(0) });
  const kinds = [0, 1].map((kind) => places.filter((_, i) => assignments[i] === kind));
  centroids.dispose();
  if (kinds.some(({ length }) => length < Math.max(2, LEAST_SHARE * places.length))) return null;
  const [a, b] = kinds.map((kind) => meanOf(rows, kind)) as [Tensor, Tensor];
  const apart = cosine(a, b);
  const nearest = (kind: Tensor) =>
    Math.max(...means.flatMap((mean, other) => (mean && other !== label ? [cosine(kind, mean)] : [])));
  // The nearer of the two to another class: both must be nearer to one than to each other.
  const other = Math.min(nearest(a), nearest(b));
  if (!(other - apart > NEARER)) return null;
  return {
    kind: 'two-classes',
    score: other - apart,
    images: kinds.flatMap((kind) => kind.slice(0, EXAMPLES)),
    classes: [label],
  };
}

/** (D,) of length 1. */
function meanOf(rows: Tensor, places: readonly number[]): Tensor {
  const mean = rows.indexSelect(0, tensor(BigInt64Array.from(places, BigInt))).mean(0);
  return mean.div(mean.norm().clamp({ min: 1e-12 }));
}

const cosine = (a: Tensor, b: Tensor): number => a.mul(b).sum().item();

function membersOf(labels: Int32Array, numClasses: number): number[][] {
  const members: number[][] = Array.from({ length: numClasses }, () => []);
  for (const [place, label] of labels.entries()) members[label]?.push(place);
  return members;
}
