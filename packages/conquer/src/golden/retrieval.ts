import { scope, type Tensor, tensor } from '@conquer-dml/torch';
import { seenByOwnCamera } from '../data/own-camera.js';
import { type EvaluateOptions, evaluateEmbeddings } from '../evaluate/evaluate.js';
import { groupMeans } from '../evaluate/group-means.js';
import { PairDistances } from '../evaluate/pair-distances.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readNumbers,
  readObject,
  readText,
  TOLERANCE,
  toTensor,
} from './check.js';

/** What the metrics of the file are called here. */
const names = {
  cmc: (k: string) => `CMC@${k}`,
  precision: (k: string) => `P@${k}`,
  map: (k: string) => `MAP@${k}/found`,
  fnmrAtFmr: (share: string) => `FNMR@FMR${share}`,
  pcf: (share: string) => `PCF@${share}`,
} as const;

type Values = Readonly<Record<string, number>> | null;

/**
 * retrieval-metrics.json: OML's metrics. A query that can find nothing has no precision there, which makes the mean NaN; here it
 * counts as 0, so that means are compared where there is no such query, and its other numbers where there is.
 */
export const checkRetrievalMetrics: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const embeddings = toTensor(readGoldenTensor(item.embeddings, `the embeddings of case ${i}`), on);
      const labels = readIndices(item.labels, `the labels of case ${i}`);
      const isApart = readText(item.protocol, `the protocol of case ${i}`) === 'queries against a gallery';
      const rows = (name: string) => readIndices(item[name], `${name} of case ${i}`);
      const some = (places: Int32Array) => ({
        embeddings: chosen(embeddings, places),
        labels: places.map((place) => labels[place]!),
      });
      const queries = some(rows('queries'));
      const gallery = isApart ? some(rows('gallery')) : undefined;
      const wanted = Object.entries(names).flatMap(([kind, nameOf]) =>
        Object.keys(readObject(item[kind], `${kind} of case ${i}`)).map(nameOf),
      );
      const perQuery: Values[] = [];
      const options: EvaluateOptions = {
        metrics: wanted,
        nmi: false,
        ...(gallery && { gallery }),
        onQuery: (_, values) => perQuery.push(values),
      };
      const metrics = evaluateEmbeddings(queries.embeddings, queries.labels, options);
      for (const [kind, nameOf] of Object.entries(names))
        for (const [at, value] of Object.entries(readObject(item[kind], `${kind} of case ${i}`)))
          if (value !== 'NaN')
            comparison.close(`${i} ${nameOf(at)}`, [metrics[nameOf(at)] ?? NaN], [value as number]);
      const perKind = readObject(item.perQuery, `perQuery of case ${i}`);
      for (const [kind, nameOf] of Object.entries(names)) {
        for (const [at, values] of Object.entries(readObject(perKind[kind] ?? {}, `perQuery of case ${i}`))) {
          const want = (values as unknown[]).map((value) => (value === 'NaN' ? 0 : value));
          const got = perQuery.map((own) => own?.[nameOf(at)] ?? NaN);
          comparison.close(`${i} ${nameOf(at)} by query`, got, readNumbers(want, 'perQuery'));
        }
      }
      const pairs = new PairDistances(queries.embeddings, queries.labels, gallery ? { gallery } : {});
      for (const [share, value] of Object.entries(readObject(item.thresholds, `thresholds of case ${i}`)))
        comparison.close(
          `${i} threshold ${share}`,
          [pairs.quantileOfDifferent(Number(share)) ?? NaN],
          [value as number],
        );
      if (item.categories === undefined) return;
      const categories = readNumbers(item.categories, `categories of case ${i}`);
      const queryRows = rows('queries');
      const groups = groupMeans(perQuery, (query) => String(categories[queryRows[query]!]));
      for (const [category, kinds] of Object.entries(readObject(item.byCategory, 'byCategory'))) {
        const means = groups.find(({ group }) => group === category)?.means ?? {};
        for (const [kind, values] of Object.entries(readObject(kinds, `category ${category}`)))
          for (const [at, value] of Object.entries(readObject(values, kind))) {
            const name = names[kind as keyof typeof names](at);
            comparison.close(`${i} ${name} of category ${category}`, [means[name] ?? NaN], [value as number]);
          }
      }
    });
  }
  return comparison.result;
};

/** camera-aware.json: the protocol of re-identification. */
export const checkCameraAware: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    scope(() => {
      const queries = seen(item, 'query', on);
      const gallery = seen(item, 'gallery', on);
      const cmc = readNumbers(item.cmc, `cmc of case ${i}`);
      const recallAt = cmc.map((_, at) => at + 1);
      const found: Values[] = [];
      const metrics = evaluateEmbeddings(queries.embeddings, queries.labels, {
        metrics: ['CMC@1', ...recallAt.map((k) => `CMC@${k}`), 'MAP', 'mINP'],
        nmi: false,
        gallery: { ...gallery, own: seenByOwnCamera(queries, gallery), withoutMatch: 'left out' },
        onQuery: (_, values) => found.push(values),
      });
      const close = (name: string, want: unknown) =>
        comparison.close(`${i} ${name}`, [metrics[name] ?? NaN], [readNumber(want, name)]);
      for (const [at, want] of cmc.entries()) close(`CMC@${at + 1}`, want);
      close('MAP', item.meanAveragePrecision);
      close('mINP', item.meanInverseNegativePenalty);
      const valid = found.filter((values) => values !== null);
      comparison.same(`${i} valid queries`, [valid.length], [readNumber(item.validQueries, 'validQueries')]);
      comparison.close(
        `${i} average precisions`,
        valid.map((values) => values.MAP!),
        readNumbers(item.averagePrecisions, `averagePrecisions of case ${i}`),
      );
    });
  }
  return comparison.result;
};

function seen(item: Record<string, unknown>, which: 'query' | 'gallery', on: Arithmetic) {
  return {
    embeddings: toTensor(readGoldenTensor(item[`${which}Embeddings`], `${which} embeddings`), on),
    labels: readIndices(item[`${which}Labels`], `${which} labels`),
    cameras: readIndices(item[`${which}Cameras`], `${which} cameras`),
  };
}

const chosen = (rows: Tensor, places: Int32Array) =>
  rows.indexSelect(0, tensor(places, { dtype: 'int64', device: rows.device }));
