import { scope, type Tensor } from '@conquer-dml/torch';
import { KantorovMarginLoss } from '../losses/kantorov-margin.js';
import type { Loss } from '../losses/loss.js';
import { MarginLoss } from '../losses/margin.js';
import { NPairsLoss } from '../losses/npairs.js';
import { TripletLoss } from '../losses/triplet.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import { TripletSemihardLoss } from '../losses/triplet-semihard.js';
import type { Tuples } from '../tuples.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  GoldenFormatError,
  lossCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readObject,
  TOLERANCE,
  toTensor,
} from './check.js';

type Options = Record<string, unknown>;

const number = (options: Options, name: string) => readNumber(options[name], `option ${name}`);
const flag = (options: Options, name: string) => options[name] === true;

/** dcesml's losses by the name in the file. */
const losses: Record<string, (options: Options, numClasses: number) => Loss> = {
  margin: (options, numClasses) =>
    new MarginLoss({
      margin: number(options, 'margin'),
      beta: number(options, 'beta'),
      nu: number(options, 'nu'),
      numClasses: flag(options, 'classSpecificBeta') ? numClasses : undefined,
    }),
  triplet: (options) =>
    new TripletLoss({
      margin: number(options, 'margin'),
      soft: flag(options, 'soft'),
      averageNonZeroOnly: flag(options, 'averageNonZeroOnly'),
    }),
  tripletAll: (options) => new TripletAllLoss({ margin: number(options, 'margin'), compat: 'dcesml' }),
  tripletSemihard: (options) =>
    new TripletSemihardLoss({ margin: number(options, 'margin'), soft: flag(options, 'soft') }),
  npairs: (options) => new NPairsLoss({ alpha: number(options, 'alpha') }),
  kantorovMargin: (options) =>
    new KantorovMarginLoss({
      alpha: number(options, 'alpha'),
      beta: number(options, 'beta'),
      distanceThreshold: number(options, 'distanceThreshold'),
    }),
};

/**
 * losses.json: value, gradient of the embeddings and of the loss's own parameters. The original kept the parameters
 * in float32 beside embeddings in float64, so their gradients are rounded to float32; so it is here.
 */
export const checkLosses: GoldenCheck = (cases, on = FLOAT64) => {
  // A card sums those parameters in another order, which float32 rounds differently.
  const comparison = new Comparison(on.device === 'cpu' ? TOLERANCE[on.dtype] : 1e-7);
  for (const { place, name, item, make, options } of lossCases(cases, losses, comparison)) {
    const numClasses = parameterRows(item, 'beta');
    compareLoss(comparison, `${place} ${name}`, make(options, numClasses), item, on);
    if (name === 'tripletAll' && item.corrected !== undefined) {
      const corrected = { ...item, ...readObject(item.corrected, `the corrected value of case ${place}`) };
      const loss = new TripletAllLoss({ margin: number(options, 'margin') });
      compareLoss(comparison, `${place} ${name}, corrected`, loss, corrected, on);
    }
  }
  return comparison.result;
};

function parameterRows(item: Record<string, unknown>, name: string): number {
  const params = readObject(item.params ?? {}, 'params');
  return params[name] === undefined ? 0 : (readGoldenTensor(params[name], name).shape[0] ?? 0);
}

/**
 * Runs a loss on one case and compares value and gradients. The loss's parameters stay in the precision they have; it is
 * moved to the device.
 * @param parameterNames what the file calls a parameter → what the loss calls it, where they differ
 */
export function compareLoss(
  comparison: Comparison,
  what: string,
  loss: Loss,
  item: Record<string, unknown>,
  on: Arithmetic,
  parameterNames: Record<string, string> = {},
): void {
  const params = readObject(item.params ?? {}, `the parameters of ${what}`);
  const gradParams = readObject(item.gradParams ?? {}, `the parameters' gradients of ${what}`);
  const value = readNumber(item.value, `the value of ${what}`);
  const wantGradient = readGoldenTensor(item.gradEmbeddings, `the gradient of ${what}`);
  scope(() => {
    const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of ${what}`), on);
    embeddings.requiresGrad_();
    const labels = readIndices(item.labels, `the labels of ${what}`);
    const values = Object.keys(params).map((key): [string, Tensor] => [
      parameterNames[key] ?? key,
      toTensor(readGoldenTensor(params[key], `parameter ${key} of ${what}`), on),
    ]);
    loss.to({ device: on.device }).loadStateDict(new Map(values));
    const result = loss.ofBatch(embeddings, labels, readTuples(item, what));
    result.backward();
    comparison.close(`${what}: value`, [result.item()], [value]);
    comparison.close(`${what}: gradient`, embeddings.grad?.toNumbers() ?? [], wantGradient.data);
    const own = new Map(loss.namedParameters());
    for (const key of Object.keys(gradParams)) {
      const want = readGoldenTensor(gradParams[key], `the gradient of ${key} of ${what}`);
      const parameter = own.get(parameterNames[key] ?? key);
      comparison.close(`${what}: gradient of ${key}`, parameter?.grad?.toNumbers() ?? [], want.data);
    }
    for (const parameter of own.values()) parameter.dispose();
  });
}

function readTuples(item: Record<string, unknown>, what: string): Tuples | null {
  if (item.sets !== undefined) return readSets(item.sets, what);
  if (item.triplets === undefined) return null;
  const { anchors, positives, negatives } = readObject(item.triplets, `the triplets of ${what}`);
  const tuples = {
    anchors: readIndices(anchors, `the anchors of ${what}`),
    positives: readIndices(positives, `the positives of ${what}`),
    negatives: readIndices(negatives, `the negatives of ${what}`),
  };
  if (
    tuples.positives.length !== tuples.anchors.length ||
    tuples.negatives.length !== tuples.anchors.length
  ) {
    throw new GoldenFormatError(`expected as many positives and negatives as anchors in ${what}`);
  }
  return tuples;
}

/** A set of negatives for each pair, as one tuple a negative. */
function readSets(value: unknown, what: string): Tuples {
  const sets = readObject(value, `the sets of ${what}`);
  const anchors = readIndices(sets.anchors, `the anchors of ${what}`);
  const positives = readIndices(sets.positives, `the positives of ${what}`);
  const { negativeSets } = sets;
  if (
    !Array.isArray(negativeSets) ||
    negativeSets.length !== anchors.length ||
    positives.length !== anchors.length
  ) {
    throw new GoldenFormatError(`expected a positive and a set of negatives for each anchor in ${what}`);
  }
  const negatives = negativeSets.map((set: unknown) => readIndices(set, `a negative set of ${what}`));
  const repeated = (indices: Int32Array) =>
    Int32Array.from(negatives.flatMap((set, i) => new Array<number>(set.length).fill(indices[i] as number)));
  return {
    anchors: repeated(anchors),
    positives: repeated(positives),
    negatives: Int32Array.from(negatives.flatMap((set) => [...set])),
  };
}
