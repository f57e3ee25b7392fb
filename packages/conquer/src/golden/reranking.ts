import { scope, type Tensor } from '@conquer-dml/torch';
import { augmentGallery, expandJointly, expandQueries } from '../neighbours/expansion.js';
import { eachReranked, neighboursNeeded } from '../neighbours/k-reciprocal.js';
import { rankedByDistances } from '../neighbours/ranked-set.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  type GoldenTensor,
  readCases,
  readGoldenTensor,
  readNumber,
  readObject,
  readText,
  TOLERANCE,
  toTensor,
} from './check.js';

/** reranking.json: k-reciprocal re-ranking, distances in, distances out. */
export const checkReranking: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    const method = readText(item.method, `the method of case ${i}`);
    if (method !== 'kReciprocal') {
      comparison.notYet(method);
      continue;
    }
    comparison.begin();
    const given = readObject(item.options, `the options of case ${i}`);
    const [k1, k2, lambda] = ['k1', 'k2', 'lambda'].map((name) => readNumber(given[name], name));
    const options = { k1: k1!, k2: k2!, lambda: lambda! };
    const read = (name: string) => readGoldenTensor(item[name], `${name} of case ${i}`);
    const queryGallery = read('queryGallery');
    const [queries, gallery] = queryGallery.shape as [number, number];
    const all = togetherOf(read('queryQuery'), queryGallery, read('galleryGallery'));
    const images = rankedByDistances(all, queries + gallery, neighboursNeeded(options));
    const found = new Float64Array(queries * gallery);
    const places = { queries, gallery: { start: queries, count: gallery } };
    eachReranked(images, options, places, ({ start, distances }) => found.set(distances, start * gallery));
    comparison.close(`${i} distances`, found, read('distances').data);
  }
  return comparison.result;
};

/** (N × N), queries first. */
function togetherOf(queryQuery: GoldenTensor, queryGallery: GoldenTensor, galleryGallery: GoldenTensor) {
  const [queries, gallery] = queryGallery.shape as [number, number];
  const size = queries + gallery;
  const distances = new Float64Array(size * size);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const [low, high] = [Math.min(row, column), Math.max(row, column)];
      distances[row * size + column] =
        row < queries && column < queries
          ? queryQuery.data[row * queries + column]!
          : low < queries
            ? queryGallery.data[low * gallery + high - queries]!
            : galleryGallery.data[(row - queries) * gallery + column - queries]!;
    }
  return distances;
}

/** expansion.json: α query expansion, database augmentation, and both in one set. */
export const checkExpansion: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    scope(() => {
      const method = readText(item.method, `the method of case ${i}`);
      const given = readObject(item.options, `the options of case ${i}`);
      const options = { k: readNumber(given.k, 'k'), alpha: readNumber(given.alpha, 'alpha') };
      const read = (name: string) => toTensor(readGoldenTensor(item[name], `${name} of case ${i}`), on);
      const close = (name: string, got: Tensor) =>
        comparison.close(
          `${i} ${name}`,
          got.toNumbers(),
          readGoldenTensor(item[name], `${name} of case ${i}`).data,
        );
      if (method === 'queryExpansion')
        close('expanded', expandQueries(read('queries'), read('gallery'), options));
      else if (method === 'databaseAugmentation') close('expanded', augmentGallery(read('gallery'), options));
      else if (method === 'jointExpansion') {
        const times = readNumber(given.times, 'times');
        const found = expandJointly(read('queries'), read('gallery'), { ...options, times });
        close('expandedQueries', found.queries);
        close('expandedGallery', found.gallery);
      } else {
        comparison.notYet(method);
        return;
      }
      comparison.begin();
    });
  }
  return comparison.result;
};
