import { formatSeconds, type Output } from './terminal.js';

/** How often a line is written where there is no terminal, in milliseconds. */
const EVERY = 30_000;

/** Progress of long work with the time left: a line that is written over, or on no terminal a line now and then. */
export class WorkBar {
  private begun = 0;
  private doneBefore = 0;
  private told = 0;
  private last = '';

  constructor(
    private readonly out: Output,
    private readonly unit: string,
  ) {}

  /** @param what may change on the way */
  tell(what: string, done: number, total: number): void {
    const now = performance.now();
    // What was there at the beginning took no time: it says nothing of the rest.
    if (this.begun === 0) {
      this.begun = now;
      this.doneBefore = done;
    }
    const isTerminal = 'isTTY' in this.out && this.out.isTTY;
    if (done < total && now - this.told < (isTerminal ? 200 : EVERY)) return;
    this.told = now;
    const rate = (done - this.doneBefore) / (now - this.begun);
    const left = rate > 0 && done < total ? `, ${formatSeconds((total - done) / rate / 1000)} left` : '';
    const line = `${what}: ${done}/${total} ${this.unit}${left}`;
    if (!isTerminal) {
      if (line !== this.last) this.out.write(`${line}\n`);
    } else this.out.write(`\r\u001b[K${done >= total ? '' : line}`);
    this.last = line;
  }
}
