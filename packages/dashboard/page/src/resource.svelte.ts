import { Absent } from './source.js';

/** Something that is fetched, and fetched again: until the next answer is there, the last one stays. */
export class Resource<T> {
  value = $state.raw<T | null>(null);
  state = $state<'loading' | 'ready' | 'absent' | 'failed'>('loading');
  message = $state('');
  private turn = 0;

  /** Only the latest call's answer counts. */
  async load(fetch: () => Promise<T>): Promise<void> {
    this.turn += 1;
    const turn = this.turn;
    try {
      const value = await fetch();
      if (turn !== this.turn) return;
      this.value = value;
      this.state = 'ready';
    } catch (error) {
      if (turn !== this.turn) return;
      this.value = null;
      this.state = error instanceof Absent ? 'absent' : 'failed';
      this.message = (error as Error).message;
    }
  }
}
