import { mlflow } from './mlflow.js';
import { tensorboard } from './tensorboard.js';
import type { TrackerPart } from './tracker.js';
import { wandb } from './wandb.js';

/** The trackers that an experiment can name. */
export const trackers = [tensorboard, wandb, mlflow] as const satisfies readonly TrackerPart[];
