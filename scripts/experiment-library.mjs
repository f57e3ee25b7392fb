// What scripts ask of the library: the experiment's schema, its parts and its flags.
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const CONQUER = resolve(dirname(fileURLToPath(import.meta.url)), '../packages/conquer');

/** Modules as they were built. */
const built = (path) => import(/* @vite-ignore */ pathToFileURL(join(CONQUER, 'dist', `${path}.js`)).href);

/** Modules as they stand in the sources: in tests, which never see an old build. */
export const fromSource = (path) =>
  import(/* @vite-ignore */ pathToFileURL(join(CONQUER, 'src', `${path}.ts`)).href);

/** @param load a module of packages/conquer/src by its path without an end */
export async function experimentLibrary(load = built) {
  const { builtInParts, experimentSchema } = await load('experiment/experiment');
  const { jsonSchemaOf } = await load('option-error');
  const { metrics } = await load('evaluate/metrics');
  const named = (list) => list.map(({ name }) => name);
  const names = {
    'losses/losses.ts': named(builtInParts.losses),
    'miners/miners.ts': named(builtInParts.miners),
    'datasets/datasets.ts': named(builtInParts.datasets),
    'samplers/samplers.ts': named(builtInParts.samplers),
    'models/backbones/backbones.ts': named(builtInParts.backbones),
    'data/augmentations.ts': named(builtInParts.augmentations),
    'optimize/optimizers.ts': named(builtInParts.optimizers),
    'optimize/schedules.ts': named(builtInParts.schedules),
    'track/trackers.ts': named(builtInParts.trackers),
    'evaluate/metrics.ts': metrics.map(({ names, at = [] }) => names(at === 'recall' ? [1] : at)[0]),
  };
  const { flagsOf } = await load('cli/flags');
  return {
    builtInParts,
    metrics,
    jsonSchemaOf,
    flags: flagsOf(builtInParts),
    schema: jsonSchemaOf(experimentSchema(builtInParts)),
    names,
  };
}
