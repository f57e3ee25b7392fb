import type { BaseOptions, Group, Optimizer } from './optimizer.js';
import type { ScheduleFunction } from './schedules.js';

/** What a schedule needs to go on after a break; plain JSON. */
export interface ScheduleState {
  step: number;
  /** The learning rate of each group that the factor applies to. */
  baseLr: Record<string, number>;
}

/**
 * Sets every group's lr to its own lr × fn(step). A group's own lr is the one it has when the schedule first meets
 * it: at the construction, or in the next `apply()` or `step()` where it was added later.
 */
export class Schedule<Options extends BaseOptions> {
  readonly #optimizer: Optimizer<Options>;
  readonly #fn: ScheduleFunction;
  // By the group itself: a group removed and added again under its name starts from its new lr.
  readonly #baseLr = new WeakMap<Group<Options>, number>();
  #step = 0;

  /** Sets the learning rates of step 0. */
  constructor(optimizer: Optimizer<Options>, fn: ScheduleFunction) {
    this.#optimizer = optimizer;
    this.#fn = fn;
    this.apply();
  }

  /** How often step() was called. */
  get steps(): number {
    return this.#step;
  }

  /** Goes to the next step: after the optimizer's step, once a batch or once an epoch, whichever fn counts. */
  step(): void {
    this.#step++;
    this.apply();
  }

  /** Sets the learning rates of the present step, of groups that were added since too. */
  apply(): void {
    const factor = this.#fn(this.#step);
    for (const group of this.#optimizer.groups) group.lr = this.#base(group) * factor;
  }

  #base(group: Group<Options>): number {
    const base = this.#baseLr.get(group) ?? group.lr;
    this.#baseLr.set(group, base);
    return base;
  }

  /** The state, for a file. */
  stateDict(): ScheduleState {
    const baseLr = Object.fromEntries(this.#optimizer.groups.map((group) => [group.name, this.#base(group)]));
    return { step: this.#step, baseLr };
  }

  /**
   * Takes over a saved state and sets the learning rates.
   * @throws Error unless each group of the optimizer is in it
   */
  loadStateDict({ step, baseLr }: ScheduleState): void {
    const missing = this.#optimizer.groups.filter(({ name }) => baseLr[name] === undefined);
    if (missing.length > 0) {
      const names = missing.map(({ name }) => `'${name}'`).join(', ');
      throw new Error(
        `The schedule's state has no learning rate for the groups ${names}: load the optimizer first`,
      );
    }
    this.#step = step;
    for (const group of this.#optimizer.groups) this.#baseLr.set(group, baseLr[group.name] as number);
    this.apply();
  }
}
