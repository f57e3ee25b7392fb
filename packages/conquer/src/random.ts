import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { JumpableRandomGenerator } from 'pure-rand/types/JumpableRandomGenerator';

/**
 * A seeded stream of random numbers (xoroshiro128+). Whoever draws is handed one; there is no global
 * generator. The state is four integers and holds everything, so a saved state continues the exact stream.
 */
export class Random {
  private generator: JumpableRandomGenerator;

  /**
   * @param seed any safe integer; neighbouring seeds give unrelated streams
   * @throws RangeError for another number
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`Random: expected a safe integer as the seed, got ${seed}`);
    }
    this.generator = xoroshiro128plusFromState(expandSeed(seed));
  }

  /** A number in [0, 1), a multiple of 2^-53. */
  next(): number {
    return uniformFloat64(this.generator);
  }

  /** A number in [low, high). */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** An integer in 0..n-1, each equally likely. @throws RangeError unless n is a positive integer */
  int(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1) {
      throw new RangeError(`Random.int: expected a positive integer, got ${n}`);
    }
    return uniformInt(this.generator, 0, n - 1);
  }

  /** A draw from N(0, 1), by Box and Muller. The second of the pair is dropped: the state stays four integers. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<A extends unknown[] | Int32Array>(array: A): A {
    for (let last = array.length - 1; last > 0; last--) {
      const other = this.int(last + 1);
      const moved = array[last];
      array[last] = array[other];
      array[other] = moved;
    }
    return array;
  }

  /** 0..n-1 in random order. */
  permutation(n: number): Int32Array {
    return this.shuffle(Int32Array.from({ length: n }, (_, index) => index));
  }

  /**
   * k of the integers 0..n-1 in random order; without `replace` (default) they are distinct.
   * @throws RangeError if k > n without `replace`
   */
  choice(n: number, k: number, options: { replace?: boolean } = {}): Int32Array {
    const chosen = new Int32Array(k);
    if (options.replace) {
      for (let i = 0; i < k; i++) chosen[i] = this.int(n);
      return chosen;
    }
    if (k > n) throw new RangeError(`Random.choice: cannot draw ${k} distinct integers from ${n}`);
    // The first k steps of a shuffle of 0..n-1, of which only the entries that moved are stored.
    const moved = new Map<number, number>();
    for (let i = 0; i < k; i++) {
      const other = i + this.int(n - i);
      chosen[i] = moved.get(other) ?? other;
      moved.set(other, moved.get(i) ?? i);
    }
    return chosen;
  }

  /** Four integers, to be kept for `setState`. */
  getState(): number[] {
    return [...this.generator.getState()];
  }

  /** Goes on from a saved state. @throws RangeError unless `state` came from `getState` */
  setState(state: readonly number[]): void {
    if (
      state.length !== 4 ||
      !state.every((word) => Number.isInteger(word)) ||
      state.every((word) => word === 0)
    ) {
      throw new RangeError('Random.setState: expected four integers, not all zero, as getState returns them');
    }
    this.generator = xoroshiro128plusFromState(state);
  }

  /** A new independent stream; the draw advances this one. */
  fork(): Random {
    const child = new Random(0);
    child.setState(Array.from({ length: 4 }, () => this.generator.next()));
    return child;
  }
}

/** SplitMix32 of each half of the seed: xoroshiro's state must not be near zero, nor alike for like seeds. */
function expandSeed(seed: number): number[] {
  const [s01, s00] = splitMix(seed | 0);
  const [s11, s10] = splitMix(~Math.floor(seed / 2 ** 32));
  return [s01, s00, s11 ^ s00, s10 ^ s01];
}

function splitMix(start: number): [number, number] {
  const mix = (counter: number) => {
    let word = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return word ^ (word >>> 15);
  };
  return [mix(start + 0x9e3779b9), mix(start + 2 * 0x9e3779b9)];
}
