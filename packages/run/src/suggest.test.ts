import { expect, it } from 'vitest';
import { didYouMean } from './suggest.js';

it.each([
  ['magrin', ['margin', 'triplet'], ' (did you mean margin?)'],
  ['trplet', ['margin', 'triplet'], ' (did you mean triplet?)'],
  ['Resnet-50', ['resnet18', 'resnet50'], ' (did you mean resnet50?)'],
  ['resn', ['alexnet', 'resnet18'], ' (did you mean resnet18?)'],
  ['yes', ['yes', 'no'], ' (did you mean yes?)'],
  ['x', ['margin', 'triplet'], ''],
  ['something', ['margin', 'triplet'], ''],
  ['', ['no'], ''],
  ['word', [], ''],
])('%s among %j', (word, candidates, said) => {
  expect(didYouMean(word, candidates)).toBe(said);
});
