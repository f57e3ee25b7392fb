import { checkArchitectures } from './architectures.js';
import { checkFullBackbones, checkHubBackbones, checkTimmBackbones } from './backbones.js';
import type { GoldenCheck, SlowGoldenCheck } from './check.js';
import { checkCrossBatchMemory } from './cross-batch-memory.js';
import { checkEvaluation } from './evaluation.js';
import { checkHashedBackbones } from './hashed-backbones.js';
import { checkLosses } from './losses.js';
import { checkRevisitingLosses } from './losses-revisiting-dml.js';
import { checkLossesOfToday } from './losses-today.js';
import { checkMaskOrthogonality } from './mask-orthogonality.js';
import { checkRevisitingMetrics } from './metrics-revisiting-dml.js';
import { checkMiners } from './miners.js';
import { checkPreprocessing } from './preprocessing.js';
import { checkRealWeights } from './real-weights.js';
import { checkReassign } from './reassign.js';
import { checkExpansion, checkReranking } from './reranking.js';
import { checkCameraAware, checkRetrievalMetrics } from './retrieval.js';
import { checkTrainingTrajectory } from './training-trajectory.js';

/** Which check reads which golden file. */
export const goldenFiles: Readonly<Record<string, GoldenCheck | SlowGoldenCheck>> = {
  'architectures.json': checkArchitectures,
  'backbones-hf.json': checkHubBackbones,
  'backbones-hub-hashed.json': checkHashedBackbones,
  'backbones-real-weights.json': checkRealWeights,
  'backbones-timm-full.json': checkFullBackbones,
  'backbones-timm.json': checkTimmBackbones,
  'camera-aware.json': checkCameraAware,
  'cross-batch-memory.json': checkCrossBatchMemory,
  'evaluation.json': checkEvaluation,
  'expansion.json': checkExpansion,
  'losses.json': checkLosses,
  'losses-hyperbolic.json': checkLossesOfToday,
  'losses-pair.json': checkLossesOfToday,
  'losses-proxy.json': checkLossesOfToday,
  'losses-rank.json': checkLossesOfToday,
  'losses-revisiting-dml.json': checkRevisitingLosses,
  'mask-orthogonality.json': checkMaskOrthogonality,
  'metrics-revisiting-dml.json': checkRevisitingMetrics,
  'miners.json': checkMiners,
  'preprocessing.json': checkPreprocessing,
  'reassign.json': checkReassign,
  'reranking.json': checkReranking,
  'retrieval-metrics.json': checkRetrievalMetrics,
  'training-trajectory.json': checkTrainingTrajectory,
};
