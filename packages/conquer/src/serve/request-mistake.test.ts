import { expect, it } from 'vitest';
import { requestMistake } from './request-mistake.js';
import { parametersOf, routesWith } from './routes.js';

const routes = routesWith({ images: 1 });

it.each([
  [{ explain: 'yes' }, 'the query\'s explain: expected one of true, false, got "yes"'],
  [{ per: 'photo' }, 'the query\'s per: expected one of item, image, got "photo"'],
  [{ top: 'many' }, 'the query\'s top: expected a number, got "many"'],
  [{ top: '1.5' }, 'the query\'s top: expected a whole number, got "1.5"'],
  [{ top: '0' }, 'the query\'s top: expected a number of at least 1, got "0"'],
  [{ top: '1001' }, 'the query\'s top: expected a number of at most 1000, got "1001"'],
  [{ maxFalseMatch: '0' }, 'the query\'s maxFalseMatch: expected a number above 0, got "0"'],
  [{ label: '' }, 'the query\'s label: expected a text that is not empty, got ""'],
  [{ label: ['a', 'b'] }, 'the query\'s label: expected a string, got ["a","b"]'],
  [
    { explian: 'true' },
    'the query: unknown parameter explian (did you mean explain?); expected some of top, per, label, maxFalseMatch, classify, approximate, explain',
  ],
  [{ per: 'x'.repeat(500) }, `the query's per: expected one of item, image, got "${'x'.repeat(79)}…`],
])('of %j says what was expected, and what came', (given, said) => {
  const { error } = routes.search.request.query.safeParse(given);
  expect(requestMistake('query', given, error!.issues, parametersOf(routes.search))).toBe(said);
});
