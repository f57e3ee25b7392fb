import { describe, expect, it } from 'vitest';
import { expandBraces } from './brace-pattern.js';

describe('expandBraces', () => {
  it.each<[string, string[]]>([
    ['a.tar', ['a.tar']],
    ['s-{08..11}.tar', ['s-08.tar', 's-09.tar', 's-10.tar', 's-11.tar']],
    ['{9..11}', ['9', '10', '11']],
    ['{2..0}', ['2', '1', '0']],
    ['{a,b{1,2}}-{x,y}', ['a-x', 'a-y', 'b1-x', 'b1-y', 'b2-x', 'b2-y']],
    ['a{,b}', ['a', 'ab']],
  ])('%s', (pattern, texts) => expect(expandBraces(pattern)).toEqual(texts));

  it.each(['{a,b', 'a{{1,2}', '{0..99999999}', '{0..9999}{0..9999}'])('refuses %s', (pattern) =>
    expect(() => expandBraces(pattern)).toThrow(/expected/),
  );
});
