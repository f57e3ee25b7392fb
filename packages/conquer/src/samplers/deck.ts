import type { Random } from '../random.js';

/**
 * Positions dealt like cards: all of them come up, in random order, before one comes again. A deal repeats a
 * position only if it is larger than the deck.
 */
export class Deck {
  private readonly cards: Int32Array;
  private dealt = 0;

  constructor(
    positions: Int32Array,
    private readonly random: Random,
  ) {
    this.cards = random.shuffle(positions.slice());
  }

  deal(count: number): Int32Array {
    const hand = new Int32Array(count);
    for (let held = 0; held < count; ) {
      if (this.dealt === this.cards.length) {
        // The cards of this hand were dealt last and lie at the end; they go under the others.
        const inHand = held % this.cards.length;
        const free = this.cards.subarray(0, this.cards.length - inHand);
        this.random.shuffle(free);
        this.random.shuffle(this.cards.subarray(free.length));
        this.dealt = 0;
      }
      const next = this.cards.subarray(this.dealt, this.dealt + count - held);
      hand.set(next, held);
      held += next.length;
      this.dealt += next.length;
    }
    return hand;
  }
}
