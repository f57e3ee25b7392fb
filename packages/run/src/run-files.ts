import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where the files of a run lie, whether they are there or not. docs/run-folder.md describes them. */
export class RunFiles {
  /** Absolute path of the run's folder. */
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  get configFile(): string {
    return join(this.path, 'config.json');
  }
  get lockFile(): string {
    return join(this.path, 'running.json');
  }
  get metricsFile(): string {
    return join(this.path, 'metrics.jsonl');
  }
  get divisionsFile(): string {
    return join(this.path, 'divisions.jsonl');
  }
  get stepsFile(): string {
    return join(this.path, 'steps.jsonl');
  }
  get masksFile(): string {
    return join(this.path, 'masks.jsonl');
  }
  get testImagesFile(): string {
    return join(this.path, 'test-images.json');
  }
  get datasetFile(): string {
    return join(this.path, 'dataset.json');
  }
  get embeddingsFile(): string {
    return join(this.path, 'embeddings.safetensors');
  }
  /** A map of the embeddings in the plane, as all of them or one learner (from 0) see them. */
  mapFile(learner: 'full' | number): string {
    return join(
      this.path,
      learner === 'full' ? 'map-full.safetensors' : `map-learner-${learner}.safetensors`,
    );
  }
  get notFiniteFile(): string {
    return join(this.path, 'not-finite.jsonl');
  }
  get summaryFile(): string {
    return join(this.path, 'summary.json');
  }
  /** What similarities of the best checkpoint mean. */
  get calibrationFile(): string {
    return join(this.path, 'calibration.json');
  }
  get lastCheckpoint(): string {
    return join(this.path, 'checkpoints', 'last.safetensors');
  }
  /** The checkpoint before the last one. */
  get previousCheckpoint(): string {
    return join(this.path, 'checkpoints', 'previous.safetensors');
  }
  get bestCheckpoint(): string {
    return join(this.path, 'checkpoints', 'best.safetensors');
  }

  /** The checkpoints to go on from, the newest first, whether they are there or not. */
  get resumable(): string[] {
    return [this.lastCheckpoint, this.previousCheckpoint, this.bestCheckpoint];
  }

  /** Whether there is anything to go on from; else a run begins anew. */
  get hasCheckpoint(): boolean {
    return this.resumable.some((file) => existsSync(file));
  }
}
