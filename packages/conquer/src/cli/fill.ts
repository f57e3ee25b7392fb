import { didYouMean, UserError, valueAt } from '@conquer-dml/run';
import { builtInParts, type Experiment, type ExperimentInput } from '../experiment/experiment.js';
import { atPath, mergeExperiments } from '../experiment/merge.js';
import { OptionError } from '../option-error.js';
import { type Flag, flagsOf, meant, type Target } from './flags.js';

// From flags to an experiment, and back for messages: the only place that knows both.

/**
 * An experiment with what flags say put into it.
 *
 * @param base what a recipe, or a run that goes on, has already
 * @param given flags without their dashes, and their texts
 * @param onUnused told in a sentence of a flag whose part is not the one chosen
 * @throws UserError for a flag that there is not
 */
export function fillExperiment(
  base: ExperimentInput,
  given: Readonly<Record<string, string>>,
  flags: readonly Flag[],
  onUnused: (message: string) => void,
): ExperimentInput {
  const known = new Map(flags.map((flag) => [flag.name, flag]));
  const asked = Object.entries(given).map(([name, text]) => {
    const flag = known.get(name);
    if (flag) return { flag, text };
    throw new UserError(
      `unknown setting '${name}'${didYouMean(name, [...known.keys()])}: conquer train --help-all lists them`,
    );
  });
  let experiment = base;
  const put = (path: string, value: unknown) => {
    experiment = mergeExperiments(experiment, atPath(path, value) as ExperimentInput);
  };
  // Which parts there are decides which options mean anything.
  for (const { flag, text } of asked)
    for (const { path, option, part, schema } of flag.targets)
      if (part === null && option === 'name') put(`${path}.name`, meant(flag, schema, text));
  const chosen = (target: Target) => {
    const { path, part, names } = target;
    // Of a list of losses no flag is one's.
    if (part !== null && path !== 'track' && Array.isArray(valueAt(experiment, path))) return false;
    return (
      part === null || names.includes(String(valueAt(experiment, `${path}.name`) ?? defaultPart(path, flags)))
    );
  };
  for (const { flag, text } of asked) {
    if (flag.targets.some(({ path }) => path === 'track')) {
      experiment = withTracker(experiment, flag, text);
      continue;
    }
    const targets = flag.targets.filter((target) => target.option !== 'name' || target.part !== null);
    const fitting = targets.filter(chosen);
    if (targets.length > 0 && fitting.length === 0) onUnused(needs(flag, flags));
    for (const { path, option, schema } of fitting) {
      const value = meant(flag, schema, text);
      put(option === null ? path : `${path}.${option}`, value);
    }
  }
  return experiment;
}

function defaultPart(path: string, flags: readonly Flag[]): string | null {
  const choice = flags.find(({ targets }) =>
    targets.some((target) => target.path === path && target.part === null),
  );
  return choice?.default ?? null;
}

/** '--nu has no effect: it needs --loss margin' */
function needs({ name, targets }: Flag, flags: readonly Flag[]): string {
  const paths = [...new Set(targets.map(({ path }) => path))];
  const ways = paths.map((path) => {
    const choice = flags.find(({ targets }) => targets.some((one) => one.path === path && one.part === null));
    const parts = targets.flatMap((target) =>
      target.path === path && target.part !== null ? [target.part] : [],
    );
    const listed = parts.length > 1 ? `${parts.slice(0, -1).join(', ')} or ${parts.at(-1)}` : parts[0];
    return `--${choice?.name} ${listed}`;
  });
  return `--${name} has no effect: it needs ${ways.join(', or ')}`;
}

/** Trackers are a list: a flag adds its own to it, or takes it away. */
function withTracker(experiment: ExperimentInput, flag: Flag, text: string): ExperimentInput {
  const { part, option, schema } = flag.targets[0]!;
  const value = meant(flag, schema, text);
  const others = (experiment.track ?? []).filter(({ name }) => name !== part);
  if (option === null && typeof value !== 'boolean') {
    throw new UserError(`--${flag.name}: expected yes or no, got ${JSON.stringify(text)}`);
  }
  const off = value === false || text === 'none';
  const tracker = { name: part, ...(option !== null && { [option]: value }) };
  return { ...experiment, track: off ? others : [...others, tracker] } as ExperimentInput;
}

/**
 * The flag of a path such as `loss.margin`; null where it has none.
 *
 * @param part of several parts' with an option there, whose; by default the first's
 */
export function flagAt(path: string, flags: readonly Flag[], part?: string): Flag | null {
  const of = (target: Target) =>
    target.option === null || target.path === path ? target.path : `${target.path}.${target.option}`;
  // Trackers are a list.
  const [, tracked] = /^track\.\d+\.(\w+)$/.exec(path) ?? [];
  const isAt = (target: Target) =>
    tracked === undefined ? of(target) === path : target.path === 'track' && target.option === tracked;
  const isOwn = (target: Target) => isAt(target) && target.names.some((name) => name === part);
  return (
    flags.find(({ targets }) => targets.some(isOwn)) ??
    flags.find(({ targets }) => targets.some(isAt)) ??
    null
  );
}

/** What the library says in a line, with flags in the places of the paths in it: `model.weights 'imagenet'`. */
export function withFlags(text: string, flags: readonly Flag[]): string {
  return text.replaceAll(
    /\b([a-z]+(?:\.[a-zA-Z]+)+)\b(?: '([\w-]+)')?/g,
    (path, name: string, value?: string) => {
      const flag = flagAt(name, flags);
      return flag ? `--${flag.name}${value === undefined ? '' : ` ${value}`}` : path;
    },
  );
}

/** A mistake in the experiment, said of the flags that fill it. */
export function inFlags(error: OptionError, flags: readonly Flag[]): UserError {
  // Of a list, its items have none of their own.
  const flag = flagAt(error.path, flags, error.part) ?? flagAt(error.path.replace(/\.\d+$/, ''), flags);
  const problem = error.problem.replace('true or false', 'yes or no').replace(/ or null\b/, ' or none');
  const isChoice = flag?.targets.some(({ part, option }) => part === null && option === 'name') ?? false;
  const own = isChoice && problem.startsWith('expected one of') && !problem.includes('did you mean');
  const message = `${withFlags(problem, flags)}${own ? '; one of your own comes with --plugin FILE' : ''}`;
  return new UserError(`${flag ? `--${flag.name}` : error.path}: ${message}`, { cause: error.cause });
}

/** The value that a flag stands for in an experiment; undefined where its part is not the one chosen. */
export function flagValue(experiment: Experiment | ExperimentInput, flag: Flag): unknown {
  for (const { path, part, names, option } of flag.targets) {
    if (path === 'track') {
      const tracker = experiment.track?.find(({ name }) => name === part);
      return option === null ? tracker !== undefined : (valueAt(tracker ?? {}, option) ?? null);
    }
    if (part !== null && !names.includes(String(valueAt(experiment, `${path}.name`)))) continue;
    const value = valueAt(experiment, option === null ? path : `${path}.${option}`);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** What is done, with mistakes, and whatever else a person is told of, said of the flags. @param flags default: those of the program's own parts */
export function namingFlags<Result>(
  body: () => Result,
  flags: readonly Flag[] = flagsOf(builtInParts),
): Result {
  const said = (error: unknown) => {
    if (error instanceof OptionError) return inFlags(error, flags);
    if (!(error instanceof UserError)) return error;
    return new UserError(withFlags(error.message, flags), { cause: error.cause });
  };
  try {
    const result = body();
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => Promise.reject(said(error))) as Result;
  } catch (error) {
    throw said(error);
  }
}
