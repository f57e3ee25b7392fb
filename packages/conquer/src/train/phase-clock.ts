import type { Profile } from './profile.js';

export type Phase = 'divide' | 'train' | 'evaluate';

/** Wall-clock seconds of a run's phases, over all its sessions. */
export class PhaseClock {
  readonly seconds: Record<Phase | 'total', number> = { divide: 0, train: 0, evaluate: 0, total: 0 };

  constructor(private readonly profile?: Profile | undefined) {}

  /** @returns to be called when the phase has ended, once: gives its seconds */
  start(phase: Phase): () => number {
    const start = performance.now();
    return () => {
      const passed = (performance.now() - start) / 1000;
      this.seconds[phase] += passed;
      this.seconds.total += passed;
      this.profile?.endPhase(phase, passed);
      return passed;
    };
  }
}
