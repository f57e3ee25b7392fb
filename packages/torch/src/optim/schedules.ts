/** The learning rate at a step, as a multiple of the group's own. A step is what `Schedule.step()` counts. */
export type ScheduleFunction = (step: number) => number;

/** Times gamma (default 0.1) every stepSize steps: PyTorch's StepLR. */
export function stepLR({ stepSize, gamma = 0.1 }: { stepSize: number; gamma?: number }): ScheduleFunction {
  return (step) => gamma ** Math.floor(step / stepSize);
}

/** Times gamma (default 0.1) at each milestone, a step: PyTorch's MultiStepLR. */
export function multiStepLR({
  milestones,
  gamma = 0.1,
}: {
  milestones: readonly number[];
  gamma?: number;
}): ScheduleFunction {
  return (step) => gamma ** milestones.filter((milestone) => milestone <= step).length;
}

export interface CosineOptions {
  /** The step at which the end is reached. */
  steps: number;
  /** The factor at the end. Default 0. */
  end?: number;
}

/** Half a cosine from 1 to `end`, where it stays (PyTorch's CosineAnnealingLR rises again). */
export function cosine({ steps, end = 0 }: CosineOptions): ScheduleFunction {
  return (step) => anneal(1, end, Math.min(step / steps, 1));
}

export interface WarmupOptions {
  /** The step at which the full rate is reached. */
  steps: number;
  /** The factor at step 0. Default 1/3. */
  start?: number;
  /** What follows, from its own step 0; the full rate when left out. */
  next?: ScheduleFunction;
}

/** A straight line from `start` to 1, then `next`. */
export function warmup({ steps, start = 1 / 3, next = () => 1 }: WarmupOptions): ScheduleFunction {
  return (step) => (step < steps ? start + ((1 - start) * step) / steps : next(step - steps));
}

export interface OneCycleOptions {
  /** The number of steps; the last is steps - 1. */
  steps: number;
  /** The share of the steps in which the rate rises. Default 0.3. */
  pctStart?: number;
  /** The first rate is the full rate divided by this. Default 25. */
  divFactor?: number;
  /** The last rate is the first divided by this. Default 1e4. */
  finalDivFactor?: number;
}

/**
 * Up by half a cosine to the full rate, then down by another: PyTorch's OneCycleLR, where the group's lr is its
 * max_lr. Momentum is not cycled. After the last step the rate stays. Smith and Topin, Super-convergence, 2018.
 */
export function oneCycle(options: OneCycleOptions): ScheduleFunction {
  const { steps, pctStart = 0.3, divFactor = 25, finalDivFactor = 1e4 } = options;
  const peak = pctStart * steps - 1;
  const last = steps - 1;
  const start = 1 / divFactor;
  const end = start / finalDivFactor;
  return (step) => {
    if (step <= peak && step < last) return anneal(start, 1, peak === 0 ? 1 : step / peak);
    return anneal(1, end, last <= peak ? 1 : Math.min((step - peak) / (last - peak), 1));
  };
}

/** Along half a cosine from `from` to `to` as `share` goes from 0 to 1. */
function anneal(from: number, to: number, share: number): number {
  return to + ((from - to) / 2) * (Math.cos(Math.PI * share) + 1);
}
