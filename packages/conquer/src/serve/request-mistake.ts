import { didYouMean } from '@conquer-dml/run';
import type { z } from 'zod';

/** What came, as an error says it: a text that goes on for long is cut off. */
export function cameAs(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/**
 * What is wrong with the query or the path of a request, in a line: what was expected of it, and what came.
 *
 * @param given what the issues are of, as it came
 * @param known names that there are
 */
export function requestMistake(
  target: string,
  given: unknown,
  issues: readonly z.core.$ZodIssue[],
  known: readonly string[],
): string {
  const what = target === 'query' ? 'the query' : 'the path';
  const issue = issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const others = known.length === 0 ? 'it takes none' : `expected some of ${known.join(', ')}`;
    return `${what}: unknown parameter ${key}${didYouMean(key, known)}; ${others}`;
  }
  const path = issue.path.map(String);
  const came = path.reduce<unknown>((object, key) => (object as Record<string, unknown>)?.[key], given);
  return `${what}'s ${path.join('.')}: expected ${expectedOf(issue)}, got ${cameAs(came)}`;
}

function expectedOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(', ')}`;
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`;
    case 'too_small':
      if (issue.origin === 'string') return 'a text that is not empty';
      return `a number ${issue.inclusive ? 'of at least' : 'above'} ${issue.minimum}`;
    case 'too_big':
      return `a number ${issue.inclusive ? 'of at most' : 'below'} ${issue.maximum}`;
    default:
      return issue.message;
  }
}
