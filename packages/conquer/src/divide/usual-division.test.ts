import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { DIVIDED_FROM, settled, usualDivision, usualDivisionInWords } from './usual-division.js';

const open = { numLearners: null, divideFrom: null, forceFullEmbeddingEpoch: null };

describe('the usual division', () => {
  it('is of as many classes as it was measured to pay with, and of a well-trained start', () => {
    const of = (classes: number | null, divide = {}, epochs = 100) =>
      usualDivision({ ...open, ...divide }, { classes, epochs });
    expect(of(DIVIDED_FROM - 1)).toEqual({ numLearners: 1, divideFrom: 0 });
    expect(of(DIVIDED_FROM)).toEqual({ numLearners: 4, divideFrom: 40 });
    expect(of(null)).toEqual({ numLearners: 1, divideFrom: 0 });
    expect(of(DIVIDED_FROM, {}, 10).divideFrom).toBe(4);
    // Learners that are asked for are not left out where there is one epoch.
    expect(of(12, { numLearners: 2 }, 1)).toEqual({ numLearners: 2, divideFrom: 0 });
    // The masks are gone when the whole embedding trains.
    expect(of(DIVIDED_FROM, { forceFullEmbeddingEpoch: 50 }).divideFrom).toBe(20);
  });

  it('gives way to what is said', () => {
    const ground = { classes: 5000, epochs: 100 };
    const of = (divide: object) => usualDivision({ ...open, ...divide }, ground);
    expect(of({ numLearners: 1 })).toEqual({ numLearners: 1, divideFrom: 0 });
    expect(of({ numLearners: 16 })).toEqual({ numLearners: 16, divideFrom: 40 });
    expect(of({ divideFrom: 0 })).toEqual({ numLearners: 4, divideFrom: 0 });
    expect(of({ numLearners: 1, divideFrom: 20 })).toEqual({ numLearners: 1, divideFrom: 20 });
  });

  it('says what was chosen, why, and how to have it otherwise', () => {
    const said = (classes: number | null, divide = {}) => {
      const [given, ground] = [
        { ...open, ...divide },
        { classes, epochs: 10 },
      ];
      return usualDivisionInWords(given, usualDivision(given, ground), ground);
    };
    expect(said(39)).toBe(
      'one learner: 39 classes train, division pays from 640 on (docs/board.md); divide.numLearners 4 divides all the same',
    );
    expect(said(853)).toBe(
      'one learner for 4 of 10 epochs, then up to 4: 853 classes train, division pays from 640 on (docs/board.md); divide.numLearners 1 does not divide',
    );
    expect(said(853, { divideFrom: 0 })).toMatch(/^4 learners: 853 classes train, /);
    expect(said(null)).toMatch(/^one learner: pairs train, .*; divide\.numLearners 4 /);
    expect(said(39, { numLearners: 8 })).toMatch(
      /^one learner for 4 of 10 epochs, then up to 8: .*; divide\.divideFrom 0 /,
    );
    for (const divide of [{ numLearners: 1 }, { numLearners: 8, divideFrom: 3 }])
      expect(said(853, divide)).toBe(null);
  });

  it('is asked for before anything is built of it', () => {
    expect(() => settled(open)).toThrow(UserError);
    expect(() => settled({ numLearners: 4, divideFrom: null })).toThrow(/got 4 and null/);
    expect(settled({ numLearners: 1, divideFrom: null })).toEqual({ numLearners: 1, divideFrom: 0 });
  });
});
