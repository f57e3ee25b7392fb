import { F, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { ArcFaceLoss } from '../losses/arcface.js';
import { CircleLoss } from '../losses/circle.js';
import { CosFaceLoss } from '../losses/cosface.js';
import { FastApLoss } from '../losses/fast-ap.js';
import { HyperbolicPairwiseLoss } from '../losses/hyperbolic-pairwise.js';
import type { Loss } from '../losses/loss.js';
import { NtXentLoss } from '../losses/nt-xent.js';
import { ProxyAnchorLoss } from '../losses/proxy-anchor.js';
import { RankedListLoss } from '../losses/ranked-list.js';
import { RecallAtKLoss } from '../losses/recall-at-k.js';
import { RoadmapLoss } from '../losses/roadmap.js';
import { SmoothApLoss } from '../losses/smooth-ap.js';
import { SoftTripleLoss } from '../losses/soft-triple.js';
import { SubCentreArcFaceLoss } from '../losses/sub-centre-arcface.js';
import { SupConLoss } from '../losses/sup-con.js';
import { ThresholdConsistentMarginLoss } from '../losses/threshold-consistent-margin.js';
import { toPoincareBall } from '../neighbours/poincare.js';
import { batchRows } from '../rows.js';
import type { Pairs } from '../tuples.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  type GoldenTensor,
  lossCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readNumbers,
  readObject,
  readSizes,
  TOLERANCE,
  toTensor,
} from './check.js';

type Case = Record<string, unknown>;
type Numbers = (option: string) => number;
/** Whose numbers: those of the case itself, or the authors' where theirs differ. */
type Whose = 'case' | 'authors';

const orNull = (value: unknown, what: string) => (value === null ? null : readNumber(value, what));

/** Losses of today by their names in the files. */
const losses: Record<string, (number: Numbers, item: Case, whose: Whose) => Loss> = {
  proxyAnchor: (number, item) =>
    new ProxyAnchorLoss({ ...readSizes(item), margin: number('margin'), alpha: number('alpha') }),
  cosFace: (number, item) =>
    new CosFaceLoss({ ...readSizes(item), margin: number('margin'), scale: number('scale') }),
  arcfaceUnicom: (number, item) =>
    new ArcFaceLoss({
      ...readSizes(item),
      angularMargin: number('angularMargin'),
      featureScale: number('scale'),
      filterThreshold: number('filterThreshold'),
      gradient: 'unicom',
    }),
  subCenterArcFace: (number, item) =>
    new SubCentreArcFaceLoss({
      ...readSizes(item),
      marginDegrees: number('marginDegrees'),
      scale: number('scale'),
      subCentres: number('subCenters'),
    }),
  softTriple: (number, item, whose) =>
    new SoftTripleLoss({
      ...readSizes(item),
      centresPerClass: number('centersPerClass'),
      scale: number('lambda'),
      gamma: number('gamma'),
      margin: number('margin'),
      tau: number('tau'),
      ...(whose === 'case' && { rootOffset: 0 }),
    }),
  circle: (number, _, whose) =>
    new CircleLoss({
      margin: number('m'),
      gamma: number('gamma'),
      over: whose === 'authors' ? 'batch' : 'anchors',
    }),
  supCon: (number, _, whose) =>
    new SupConLoss({
      temperature: number('temperature'),
      form: whose === 'authors' ? 'authors' : 'paper',
    }),
  ntXent: (number) => new NtXentLoss({ temperature: number('temperature') }),
  ntXentTwoView: (number, { options }) =>
    new NtXentLoss({
      temperature: number('temperature'),
      positives: (options as Case).symmetric === false ? 'first-to-second' : 'two-views',
    }),
  thresholdConsistentMargin: (number) =>
    new ThresholdConsistentMarginLoss({
      positiveWeight: number('positiveWeight'),
      negativeWeight: number('negativeWeight'),
      positiveMargin: number('positiveMargin'),
      negativeMargin: number('negativeMargin'),
    }),
  rankedList: (number) =>
    new RankedListLoss({
      margin: number('margin'),
      alpha: number('alpha'),
      positiveTemperature: number('positiveTemperature'),
      negativeTemperature: number('negativeTemperature'),
      negativeShare: number('negativeShare'),
    }),
  fastAp: (number, _, whose) =>
    new FastApLoss({ numBins: number('bins'), gradient: whose === 'authors' ? 'authors' : 'derivative' }),
  smoothAp: (number) => new SmoothApLoss({ temperature: number('temperature') }),
  recallAtK: (number, { options }) =>
    new RecallAtKLoss({
      temperature: number('temperature'),
      ks: readNumbers((options as Case).ks, 'ks'),
      kTemperatures: readNumbers((options as Case).kTemperatures, 'kTemperatures'),
    }),
  roadmap: (_, { options }) => roadmap(options as Case, {}),
  hyperbolicPairwise: (_, { options }) => hyperbolic(options as Case, false),
};

function roadmap(options: Case, weights: { supApWeight?: number; calibrationWeight?: number }): Loss {
  const number = (name: string) => readNumber(options[name], name);
  return new RoadmapLoss({
    temperature: number('temperature'),
    slope: number('slope'),
    offset: orNull(options.offset, 'offset'),
    delta: number('delta'),
    start: number('start'),
    positiveMargin: number('positiveMargin'),
    negativeMargin: number('negativeMargin'),
    supApWeight: number('supApWeight'),
    calibrationWeight: number('calibrationWeight'),
    ...weights,
  });
}

function hyperbolic(options: Case, average: boolean): HyperbolicPairwiseLoss {
  return new HyperbolicPairwiseLoss({
    curvature: readNumber(options.curvature, 'curvature'),
    clipRadius: orNull(options.clipRadius, 'clipRadius'),
    temperature: readNumber(options.temperature, 'temperature'),
    average,
  });
}

/** losses-proxy.json, losses-pair.json, losses-rank.json and losses-hyperbolic.json: values, and gradients of all there are. */
export const checkLossesOfToday: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const { place, name, item, make, options, number } of lossCases(cases, losses, comparison)) {
    const what = `${place} ${name}`;
    const check = (whose: string, loss: Loss, numbers: Case) =>
      compare(comparison, `${what}${whose}`, loss, { ...item, ...numbers }, on);
    check('', make(number, item, 'case'), {});
    const others = (key: string) => readObject(item[key], `${key} of case ${place}`);
    if (item.authors !== undefined) check(', authors', make(number, item, 'authors'), others('authors'));
    if (name === 'roadmap' && item.parts !== undefined) {
      const { supAp, calibration } = others('parts');
      const alone = (part: string) => roadmap(options, { supApWeight: 0, calibrationWeight: 0, [part]: 1 });
      check(', SupAP', alone('supApWeight'), readObject(supAp, 'supAp'));
      check(', calibration', alone('calibrationWeight'), readObject(calibration, 'calibration'));
    }
    if (name !== 'hyperbolicPairwise') continue;
    if (item.hier !== undefined) check(', as HIER', hyperbolic(options, true), others('hier'));
    compareBall(comparison, what, hyperbolic(options, false), item, on);
  }
  return comparison.result;
};

/** Embeddings come as they are before they are scaled to length 1. */
function compare(comparison: Comparison, what: string, loss: Loss, item: Case, on: Arithmetic): void {
  scope(() => {
    const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of ${what}`), on);
    embeddings.requiresGrad_();
    loss.to(on);
    const own = loss.parameters()[0];
    if (own)
      loss.loadStateDict(
        new Map([...loss.namedParameters()].map(([name, now]) => [name, proxies(item, now, on)])),
      );
    const rows = loss instanceof HyperbolicPairwiseLoss ? embeddings : F.normalize(embeddings);
    const result = loss.ofBatch(
      rows,
      readIndices(item.labels, `the labels of ${what}`),
      readPairs(item, what),
    );
    result.backward();
    comparison.close(`${what}: value`, [result.item()], [readNumber(item.value, `the value of ${what}`)]);
    const close = (of: string, got: Tensor | null | undefined, want: GoldenTensor) =>
      comparison.close(`${what}: gradient${of}`, got?.toNumbers() ?? [], want.data);
    close('', embeddings.grad, readGoldenTensor(item.gradEmbeddings, `the gradient of ${what}`));
    if (!own) return;
    const gradients = readObject(item.gradParams, `the parameters' gradients of ${what}`);
    close(' of proxies', own.grad, readGoldenTensor(gradients.proxies, `the proxies' gradient of ${what}`));
    own.dispose();
  });
}

/** In the shape that the loss has them in. */
function proxies(item: Case, { shape }: Tensor, on: Arithmetic): Tensor {
  const params = readObject(item.params, 'params');
  const { data } = readGoldenTensor(params.proxies, 'proxies');
  return tensor(Float64Array.from(data), { shape, ...on });
}

function readPairs(item: Case, what: string): Pairs | null {
  if (item.tuples === undefined) return null;
  const tuples = readObject(item.tuples, `the tuples of ${what}`);
  const read = (name: keyof Pairs) => readIndices(tuples[name], `${name} of ${what}`);
  return {
    positiveAnchors: read('positiveAnchors'),
    positives: read('positives'),
    negativeAnchors: read('negativeAnchors'),
    negatives: read('negatives'),
  };
}

/** Steps on the way of the hyperbolic loss. */
function compareBall(
  comparison: Comparison,
  what: string,
  loss: HyperbolicPairwiseLoss,
  item: Case,
  on: Arithmetic,
): void {
  scope(() => {
    const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of ${what}`), on);
    const points = loss.curvature === 0 ? F.normalize(embeddings) : toPoincareBall(embeddings, loss);
    const labels = readIndices(item.labels, `the labels of ${what}`);
    const wantPoints = readGoldenTensor(item.points, `the points of ${what}`);
    comparison.close(`${what}: points`, points.toNumbers(), wantPoints.data);
    const want = readGoldenTensor(item.distances, `the distances of ${what}`);
    const distances = loss.distances(batchRows(embeddings, labels));
    // Of unit vectors the file has their cosine, of which the loss takes the negative.
    const got = (loss.curvature === 0 ? distances.neg() : distances).toNumbers();
    const size = labels.length;
    // From itself a point has a distance of rounding alone, which no logit takes.
    const off = (values: ArrayLike<number>) =>
      Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 0 : values[i]!));
    comparison.close(`${what}: distances`, off(got), off(want.data));
  });
}
