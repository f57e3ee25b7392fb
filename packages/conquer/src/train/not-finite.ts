import { type RunFolder, UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { inWords } from '../out-of-memory.js';
import { NotFiniteError, type StepInput, type StepResult, type TrainingStep } from './step.js';

/** What happens to a batch whose loss or gradient is not finite: the run stops, or the batch is left out. */
export type OnNan = 'stop' | 'skip';

/** Batches in a row that are left out before the run stops all the same. */
const IN_A_ROW = 10;
/** Share of an epoch's steps that may be left out. */
const SHARE = 0.01;
/** Files named in a message; the record in the run folder names all. */
const SHOWN = 3;

export interface NotFiniteGuardOptions {
  onNan: OnNan;
  model: EmbeddingModel;
  step: TrainingStep;
  run: RunFolder;
  /** Of the training images. */
  paths: readonly string[] | undefined;
  epoch: number;
  /** Steps of the epoch. */
  steps: number;
  onWarning: (text: string) => void;
}

/** Runs the steps of an epoch, and sees to batches whose loss or gradient is NaN or infinite. */
export class NotFiniteGuard {
  private inARow = 0;
  private skipped = 0;

  constructor(private readonly options: NotFiniteGuardOptions) {}

  /**
   * One step; the result of a batch that is left out says so. Its weights and running statistics are those before it.
   *
   * @throws UserError that names the step, the batch's files and the last good checkpoint; or, where there is not
   *   enough memory for the batch, the sizes that it depends on
   */
  run(at: number, input: StepInput, indices: Int32Array): StepResult {
    const { onNan, model, step } = this.options;
    const statistics = onNan === 'skip' ? copyOf(model) : null;
    try {
      const result = step.run(input);
      this.inARow = 0;
      return result;
    } catch (error) {
      if (!(error instanceof NotFiniteError)) throw inWords(error, this.tooLarge(at, input));
      statistics?.restore();
      return this.leaveOut(at, indices, error);
    } finally {
      statistics?.dispose();
    }
  }

  private tooLarge(at: number, { images: { shape } }: StepInput): string {
    const { epoch, steps, model, run } = this.options;
    const [count, , height, width] = shape;
    const kept = run.hasCheckpoint ? `; what was trained before is in ${run.lastCheckpoint}` : '';
    return (
      `epoch ${epoch + 1}, step ${at + 1} of ${steps}, a batch of ${count} images of ${height}×${width} pixels, ` +
      `${model.embeddingDim} dimensions: a smaller batch, smaller images or a smaller embedding needs less${kept}`
    );
  }

  private leaveOut(at: number, indices: Int32Array, { message: problem }: NotFiniteError): StepResult {
    const { onNan, run, paths, epoch, steps, onWarning } = this.options;
    const files = Array.from(indices, (index) => paths?.[index] ?? `training image ${index}`);
    run.appendNotFinite({ epoch, step: at, problem, files });
    this.inARow++;
    this.skipped++;
    const shown = files.slice(0, SHOWN).join(', ');
    const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more in ${run.notFiniteFile}` : '';
    const where = `epoch ${epoch + 1}, step ${at + 1} of ${steps}: ${problem}, in the batch of ${shown}${more}`;
    const allowed = Math.max(IN_A_ROW, Math.floor(steps * SHARE));
    if (onNan === 'skip' && this.inARow <= IN_A_ROW && this.skipped <= allowed) {
      onWarning(`left out: ${where}`);
      return {
        metricLoss: null,
        maskLoss: null,
        numTuples: null,
        anchorsWithoutTuples: null,
        skipped: 'its loss was not finite',
      };
    }
    const bound =
      onNan === 'skip' ? `; ${this.skipped} batches of the epoch were left out, ${this.inARow} in a row` : '';
    const advice = run.hasCheckpoint
      ? `the last good checkpoint is ${run.lastCheckpoint}`
      : 'there is no checkpoint yet';
    throw new UserError(
      `${where}${bound}; ${advice}; lower optimize.learningRate, or look for broken images` +
        (onNan === 'stop' ? "; train.onNan 'skip' leaves such batches out" : ''),
    );
  }
}

/** The running statistics of BatchNorm: the forward pass changes them before anybody can see that it went wrong. */
function copyOf(model: EmbeddingModel): { restore(): void; dispose(): void } {
  const copies: [Tensor, Tensor][] = noGrad(() =>
    [...model.namedBuffers()].map(([, buffer]) => [buffer, buffer.clone().keep()]),
  );
  return {
    restore() {
      scope(() => noGrad(() => copies.forEach(([buffer, copy]) => void buffer.copy_(copy))));
    },
    dispose() {
      for (const [, copy] of copies) copy.dispose();
    },
  };
}
