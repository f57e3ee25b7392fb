import { noGrad } from '../autograd.js';
import { zerosLike } from '../creation.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';

/** The options every optimiser has; each adds its own. All of them can be written as JSON. */
export interface BaseOptions {
  /** The learning rate; default 1e-3. */
  lr: number;
}

/** Parameters that share their options. The options may be changed at any time: `optimizer.groups[0].lr = 0.1`. */
export type Group<Options extends BaseOptions> = Options & {
  readonly name: string;
  readonly params: readonly Tensor[];
};

/** A group as it is given: what is left out comes from the optimiser's options; the name from its position. */
export type GroupInit<Options extends BaseOptions> = Partial<Options> & {
  name?: string;
  params: readonly Tensor[];
};

/** What an optimiser remembers of one parameter. */
interface ParameterState {
  step: number;
  /** By PyTorch's names: exp_avg, momentum_buffer, ... Of the parameter's shape. */
  tensors: Map<string, Tensor>;
}

/** An optimiser's state for files: `tensors` for safetensors, `groups` for JSON. */
export interface OptimizerState<Options extends BaseOptions = BaseOptions> {
  /** By group, position in the group and name: 'backbone.3.exp_avg'. The optimiser's own tensors, not copies. */
  tensors: Map<string, Tensor>;
  groups: {
    name: string;
    options: Options;
    /** How often each of the group's parameters was updated. */
    steps: number[];
  }[];
  /** The class of the optimiser; older files do not have it. */
  algorithm?: string;
}

/** The parameters of a group that have a gradient, their gradients and states, position by position. */
export interface Update<Options extends BaseOptions> {
  group: Group<Options>;
  params: Tensor[];
  /** Not to be written to. */
  grads: Tensor[];
  /** Steps of each parameter, this one included. */
  steps: number[];
  /** The state tensors of this name, made at the first call: as zeros, or as `initial` says. */
  state(name: string, initial?: (index: number) => Tensor): Tensor[];
}

/**
 * The base of the optimisers: groups, their state, and the loop over them. A subclass turns the gradients of
 * one group into new parameters. The parameters stay the caller's; dispose() frees the state.
 */
export abstract class Optimizer<Options extends BaseOptions> {
  readonly #groups: Group<Options>[] = [];
  readonly #state = new Map<Tensor, ParameterState>();
  readonly #defaults: Options;

  constructor(groups: readonly GroupInit<Options>[], defaults: Options) {
    this.#defaults = defaults;
    for (const group of groups) this.addGroup(group);
  }

  /** What a saved state must have come from. */
  get algorithm(): string {
    return this.constructor.name;
  }

  /** Throws when an option is out of its range. */
  protected abstract validate(options: Options): void;

  /** Writes the new parameters. Runs without gradients, in a scope. */
  protected abstract update(update: Update<Options>): void;

  /** The names of the state tensors that these options need. */
  protected abstract stateNames(options: Options): string[];

  /** In the order they were added. */
  get groups(): readonly Group<Options>[] {
    return this.#groups;
  }

  /**
   * Adds parameters; they must not be in another group, and the group's name must be new.
   * @throws Error for a name or parameter that is there already, or a tensor that is no leaf; RangeError when
   *   an option is out of its range
   */
  addGroup(init: GroupInit<Options>): void {
    const { params, name = `${this.#groups.length}`, ...options } = init;
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const group: Group<Options> = {
      ...this.#defaults,
      ...Object.fromEntries(given),
      name,
      params: [...params],
    };
    if (this.#groups.some((other) => other.name === name)) {
      throw new Error(`The optimizer already has a group '${name}': remove it first, or choose another name`);
    }
    const known = new Set(this.#groups.flatMap((other) => other.params));
    for (const [index, tensor] of group.params.entries()) {
      if (known.has(tensor))
        throw new Error(`Parameter ${index} of group '${name}' is in the optimizer already`);
      if (!tensor.isLeaf) {
        throw new Error(
          `Parameter ${index} of group '${name}' was computed from other tensors and never gets a gradient: detach it`,
        );
      }
      known.add(tensor);
    }
    this.validate(group);
    this.#groups.push(group);
  }

  /** Removes a group and frees the state of its parameters. @throws Error where there is no such group */
  removeGroup(name: string): void {
    const index = this.#groups.findIndex((group) => group.name === name);
    const group = this.#groups[index];
    if (group === undefined) throw new Error(`The optimizer has no group '${name}', only ${this.#names()}`);
    this.#groups.splice(index, 1);
    for (const tensor of group.params) this.#forget(tensor);
  }

  /** Updates every parameter that has a gradient. */
  step(): void {
    noGrad(() => {
      for (const group of this.#groups) scope(() => this.#stepGroup(group));
    });
  }

  #stepGroup(group: Group<Options>): void {
    const params: Tensor[] = [];
    const grads: Tensor[] = [];
    const states: ParameterState[] = [];
    for (const param of group.params) {
      const grad = param.grad;
      if (grad === null) continue;
      params.push(param);
      grads.push(grad);
      states.push(this.#stateOf(param));
    }
    if (params.length === 0) return;
    for (const state of states) state.step++;
    const state = (name: string, initial = (index: number): Tensor => zerosLike(params[index] as Tensor)) =>
      states.map(({ tensors }, index) => {
        const made = tensors.get(name) ?? initial(index).keep();
        tensors.set(name, made);
        return made;
      });
    this.update({ group, params, grads, steps: states.map(({ step }) => step), state });
  }

  #stateOf(param: Tensor): ParameterState {
    const state = this.#state.get(param) ?? { step: 0, tensors: new Map() };
    this.#state.set(param, state);
    return state;
  }

  #forget(param: Tensor): void {
    for (const tensor of this.#state.get(param)?.tensors.values() ?? []) tensor.dispose();
    this.#state.delete(param);
  }

  #names(): string {
    return this.#groups.map(({ name }) => `'${name}'`).join(', ') || 'none';
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const { params } of this.#groups) for (const param of params) param.grad = null;
  }

  /** The state, for a file. Clone its tensors to keep it. */
  stateDict(): OptimizerState<Options> {
    const tensors = new Map<string, Tensor>();
    for (const { name, params } of this.#groups) {
      for (const [index, param] of params.entries()) {
        const state = this.#state.get(param)?.tensors ?? [];
        for (const [key, tensor] of state) tensors.set(`${name}.${index}.${key}`, tensor);
      }
    }
    const groups = this.#groups.map((group) => ({
      name: group.name,
      options: optionsOf(group),
      steps: group.params.map((param) => this.#state.get(param)?.step ?? 0),
    }));
    return { tensors, groups, algorithm: this.algorithm };
  }

  /**
   * Takes over options, step counts and copies of the state tensors. The groups must have the same names,
   * sizes and shapes, and the state must have come from the same algorithm.
   * @throws Error that says what differs; then nothing is loaded
   */
  loadStateDict(saved: OptimizerState<Options>): void {
    const wrong: string[] = [];
    const loads: { param: Tensor; step: number; tensors: [string, Tensor][] }[] = [];
    const unexpected = new Set(saved.tensors.keys());
    if (saved.algorithm !== undefined && saved.algorithm !== this.algorithm)
      wrong.push(`it is the state of ${saved.algorithm}, expected ${this.algorithm}`);
    for (const { name } of saved.groups) {
      if (!this.#groups.some((group) => group.name === name)) wrong.push(`unexpected group '${name}'`);
    }
    for (const group of this.#groups) {
      const stored = saved.groups.find(({ name }) => name === group.name);
      if (stored === undefined) {
        wrong.push(`missing group '${group.name}'`);
        continue;
      }
      if (stored.steps.length !== group.params.length) {
        wrong.push(`group '${group.name}' has ${group.params.length} parameters, got ${stored.steps.length}`);
        continue;
      }
      wrong.push(...this.#differences(group, stored.options));
      for (const [index, param] of group.params.entries()) {
        const step = stored.steps[index] ?? 0;
        const tensors: [string, Tensor][] = [];
        for (const name of step > 0 ? this.stateNames(stored.options) : []) {
          const key = `${group.name}.${index}.${name}`;
          const tensor = saved.tensors.get(key);
          unexpected.delete(key);
          if (tensor === undefined) wrong.push(`missing ${key}`);
          else if (tensor.shape.join() !== param.shape.join()) {
            wrong.push(`${key}: expected [${param.shape.join(', ')}], got [${tensor.shape.join(', ')}]`);
          } else tensors.push([name, tensor]);
        }
        loads.push({ param, step, tensors });
      }
    }
    for (const key of unexpected) wrong.push(`unexpected ${key}`);
    if (wrong.length > 0) {
      const more = wrong.length > 3 ? ` and ${wrong.length - 3} more` : '';
      throw new Error(
        `The optimizer's state does not fit, nothing was loaded: ${wrong.slice(0, 3).join('; ')}${more}`,
      );
    }

    for (const group of this.#groups) {
      Object.assign(group, saved.groups.find(({ name }) => name === group.name)?.options);
    }
    noGrad(() => {
      for (const { param, step, tensors } of loads) {
        const copies = tensors.map(
          ([name, tensor]) => [name, zerosLike(param).copy_(tensor).keep()] as const,
        );
        this.#forget(param);
        if (step > 0) this.#state.set(param, { step, tensors: new Map(copies) });
      }
    });
  }

  /** What of the saved options this optimiser cannot take over. Switches decide the algorithm: they are the program's. */
  #differences(group: Group<Options>, saved: Options): string[] {
    const own = new Map<string, unknown>(Object.entries(optionsOf(group)));
    const form = (value: unknown) =>
      Array.isArray(value) ? `${value.map((item) => typeof item)}` : typeof value;
    const wrong: string[] = [];
    for (const [name, value] of Object.entries(saved)) {
      const ours = own.get(name);
      if (!own.has(name) || form(value) !== form(ours) || (typeof ours === 'boolean' && value !== ours)) {
        wrong.push(
          `group '${group.name}' has ${own.has(name) ? `${name} ${JSON.stringify(ours)}` : `no ${name}`}, got ${JSON.stringify(value)}`,
        );
      }
    }
    if (wrong.length === 0) this.validate({ ...group, ...saved });
    return wrong;
  }

  /** Frees the state of all parameters, which then start anew; the parameters stay. */
  dispose(): void {
    for (const param of [...this.#state.keys()]) this.#forget(param);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A group without its name and parameters. */
function optionsOf<Options extends BaseOptions>(group: Group<Options>): Options {
  const { name: _name, params: _params, ...options } = group;
  return structuredClone(options) as unknown as Options;
}

/** Throws unless low ≤ value < high. */
export function requireRange(
  name: string,
  value: number,
  low: number,
  high = Number.POSITIVE_INFINITY,
): void {
  if (value >= low && value < high) return;
  const range = high === Number.POSITIVE_INFINITY ? `${low} or more` : `at least ${low} and below ${high}`;
  throw new RangeError(`${name} has to be ${range}, not ${value}`);
}

/** `defaults` with everything in `given` that is not undefined. */
export function withDefaults<Options extends object>(defaults: Options, given: Partial<Options>): Options {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(set) };
}
