import { shortSideFor } from '../models/preprocessing.js';
import { publicName, publishedAs } from '../models/weights/public-name.js';
import { startingLearningRate } from '../optimize/learning-rates.js';
import { alternatives, type JsonSchema, jsonSchemaOf, mistakeIn, OptionError } from '../option-error.js';
import {
  builtInParts,
  type Experiment,
  type ExperimentInput,
  experimentSchema,
  type Parts,
} from './experiment.js';

/**
 * Gives an experiment its defaults, and checks it: once, in front of everything that takes one.
 *
 * @param input what people wrote, or a recipe or config.json holds
 * @throws OptionError that names the path of what is wrong, what was expected, and the nearest right name
 */
export function resolveExperiment(input: ExperimentInput, parts: Parts = builtInParts): Experiment {
  const schema = experimentSchema(parts);
  const whole = withPartNames(forPairs(input, parts), jsonSchemaOf(schema));
  const named = spelledOut(whole as ExperimentInput, parts);
  const parsed = schema.safeParse(named, { reportInput: true });
  if (!parsed.success) throw mistakeIn('', schema, named, parsed.error);
  return settled(parsed.data, parts);
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is left open, where the data set has pairs in the place of classes. */
function forPairs(input: ExperimentInput, { datasets }: Parts): ExperimentInput {
  const dataset = input?.data?.dataset;
  const name = isObject(dataset) && 'name' in dataset ? dataset.name : undefined;
  if (!datasets.some((part) => part.name === name && part.ofPairs)) return input;
  const { data, loss, evaluate } = input;
  // What is no part stays as it is, for the schema to say so.
  const named = (part: unknown, name: string) =>
    part === undefined || (isObject(part) && !('name' in part || 'own' in part)) ? { name, ...part } : part;
  return {
    ...input,
    data: { ...data, sampler: named(data?.sampler, 'pairs') },
    loss: named(loss, 'contrastive'),
    evaluate: evaluate === undefined || isObject(evaluate) ? { bestBy: 'ROC-AUC', ...evaluate } : evaluate,
  } as ExperimentInput;
}

/** A part without a name is the default one: `{ loss: { beta: 1.1 } }`. */
function withPartNames(value: unknown, schema: JsonSchema): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const byDefault = (schema.default as { name?: unknown } | undefined)?.name;
  if (byDefault !== undefined && !('name' in value) && !('own' in value))
    return { name: byDefault, ...value };
  const fields = alternatives(schema).find(({ properties }) => properties && !properties.name)?.properties;
  if (fields === undefined) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, withPartNames(field, fields[name] ?? {})]),
  );
}

/** A backbone's public name may leave out what timm means by itself; what a run writes down must not change with timm. */
function spelledOut(input: ExperimentInput, { backbones }: Parts): ExperimentInput {
  const backbone = input?.model?.backbone as { name?: unknown } | undefined;
  if (typeof backbone?.name !== 'string') return input;
  const name = publicName(backbone.name, backbones);
  return { ...input, model: { ...input.model, backbone: { ...backbone, name } } } as ExperimentInput;
}

/** What depends on another field where it is left open. */
function settled(experiment: Experiment, { backbones }: Parts): Experiment {
  const { data, model, optimize } = experiment;
  const pretrained = model.weights !== null;
  const published = 'name' in model.backbone ? publishedAs(model.backbone.name, backbones) : null;
  const { cropShare, rounding } = published?.input ?? {};
  const resize = data.resize ?? shortSideFor(data.imageSize, cropShare, rounding);
  if (resize < data.imageSize) {
    throw new OptionError(
      'data.resize',
      `expected data.imageSize, ${data.imageSize}, or more, as images are cut out of it; got ${resize}`,
    );
  }
  const learningRate = startingLearningRate(optimize.learningRate, pretrained);
  return {
    ...experiment,
    data: { ...data, resize },
    model: { ...model, batchNorm: model.batchNorm ?? (pretrained ? 'frozen' : 'trained') },
    optimize: { ...optimize, learningRate },
  };
}
