import { type EpochPart, type EpochProfile, epochParts, type StepPart, stepParts } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';

/**
 * A stopwatch for `--profile`. Each lap gives the time since the lap before to the part that has just ended. Whoever is
 * measured holds a Profile or nothing, so that it costs nothing when off.
 */
export class Profile {
  private since = performance.now();
  private steps = 0;
  private step = zeros(stepParts);
  private epoch = zeros(epochParts);
  /** Of the phase under way. */
  private embedding = 0;

  /** Begins to measure: what came before belongs to nobody. */
  start(): void {
    this.since = performance.now();
  }

  /**
   * Ends a part of a step.
   * @param result of the part: a GPU works on after the call has returned, and reading a number waits for it
   */
  lap(part: StepPart, result?: Tensor): void {
    if (result !== undefined && result.device !== 'cpu') result.detach().flatten().narrow(0, 0, 1).item();
    const now = performance.now();
    this.step[part] += now - this.since;
    this.since = now;
  }

  /** After a step's last lap. */
  endStep(): void {
    this.lap('other');
    this.steps++;
  }

  /** Adds seconds of embedding images; endPhase() takes them from the phase that asked for them. */
  addEmbedding(seconds: number): void {
    this.epoch.embed += seconds;
    this.embedding += seconds;
  }

  /** Ends a phase of the epoch that took so many seconds. */
  endPhase(phase: Exclude<EpochPart, 'embed'>, seconds: number): void {
    this.epoch[phase] += seconds - this.embedding;
    this.embedding = 0;
  }

  /** What was measured since the last call. */
  take(): EpochProfile {
    const seconds = Object.fromEntries(stepParts.map((part) => [part, this.step[part] / 1000]));
    const taken = { steps: this.steps, step: seconds as Record<StepPart, number>, epoch: this.epoch };
    this.steps = 0;
    this.step = zeros(stepParts);
    this.epoch = zeros(epochParts);
    return taken;
  }
}

function zeros<Part extends string>(parts: readonly Part[]): Record<Part, number> {
  return Object.fromEntries(parts.map((part) => [part, 0])) as Record<Part, number>;
}
