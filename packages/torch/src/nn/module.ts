import { noGrad } from '../autograd.js';
import type { DType } from '../dtype.js';
import { aten, Tensor } from '../tensor.js';
import { Derived } from './derived.js';

interface Role {
  kind: 'parameter' | 'buffer';
  persistent: boolean;
  whenMissing: number | null;
}

// What a tensor is to the module that holds it. It belongs to the tensor (one entry for each, gone with it) and
// is written once, by parameter() or buffer(); a field needs no registration call.
const roles = new WeakMap<Tensor, Role>();

/**
 * Marks a tensor as a parameter: a field that holds it is found by `parameters()` and `stateDict()`. It takes
 * gradients (unless told otherwise), and outlives the scope it was made in: the module's dispose() frees it.
 */
export function parameter(tensor: Tensor, { requiresGrad = true } = {}): Tensor {
  roles.set(tensor, { kind: 'parameter', persistent: true, whenMissing: null });
  return tensor.keep().requiresGrad_(requiresGrad);
}

export interface BufferOptions {
  /** Whether it is part of the state dict; default true. */
  persistent?: boolean;
  /** The number it takes when a state dict lacks it; without one that is an error. */
  whenMissing?: number | null;
}

/**
 * Marks a tensor as a buffer: state that is saved with the module but not learned. Outlives its scope: the
 * module's dispose() frees it.
 */
export function buffer(
  tensor: Tensor,
  { persistent = true, whenMissing = null }: BufferOptions = {},
): Tensor {
  roles.set(tensor, { kind: 'buffer', persistent, whenMissing });
  return tensor.keep();
}

/** The keys on which a state dict and a module differ; both lists are empty after a strict load. */
export interface LoadResult {
  missing: string[];
  unexpected: string[];
}

/** Of the fields that there are, as walks ask for them again and again. */
const pytorchNames = new Map<string, string>();

/** runningMean → running_mean; names without capitals stay. */
function pytorchName(field: string): string {
  let name = pytorchNames.get(field);
  if (name === undefined) {
    name = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    pytorchNames.set(field, name);
  }
  return name;
}

function join(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}

/** The fields of a module under PyTorch's names; an array's items are fields of their own. */
function* fields(module: Module): Generator<[string, unknown]> {
  for (const [field, value] of Object.entries(module)) {
    const name = pytorchName(field);
    if (!Array.isArray(value)) yield [name, value];
    else for (const [index, item] of value.entries()) yield [`${name}.${index}`, item];
  }
}

function* walk(module: Module, name: string, seen: Set<Module>): Generator<[string, Module]> {
  if (seen.has(module)) return;
  seen.add(module);
  yield [name, module];
  for (const [child, next] of module.namedChildren()) yield* walk(next, join(name, child), seen);
}

/**
 * The base of all layers and models. Nothing is registered: a module's own fields are walked in the order of
 * their declaration. A field that holds
 * - a tensor marked by `parameter()` or `buffer()` is a parameter or buffer,
 * - a Module is a child,
 * - an array holds any of these, named 0, 1, ...
 * - a Derived is what it makes of its weights, which it may keep
 *
 * Other fields, `#private` ones among them, are not looked at. The name in state dicts is the field's with
 * capitals turned to underscores (`runningMean` is `running_mean`), joined by dots: `layer1.0.conv1.weight`.
 * As in PyTorch a module's own parameters and buffers come before its children's. What is shared appears once,
 * under its first name (PyTorch's state dict repeats it).
 *
 * Subclasses define `forward`.
 */
export abstract class Module {
  /** Whether layers that differ (batch norm, dropout) behave as in training. Set it by `train()` and `eval()`. */
  training = true;

  /** The children with their names. In the order of the fields. */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of fields(this)) if (value instanceof Module) yield [name, value];
  }

  /** This module and all below it, parents first, each once. This one's name is ''. */
  namedModules(): Generator<[string, Module]> {
    return walk(this, '', new Set());
  }

  *#namedTensors(kind: Role['kind'] | null): Generator<[string, Tensor, Role]> {
    const seen = new Set<Tensor>();
    for (const [prefix, module] of this.namedModules()) {
      for (const wanted of ['parameter', 'buffer'] as const) {
        if (kind !== null && kind !== wanted) continue;
        for (const [name, value] of fields(module)) {
          if (!(value instanceof Tensor) || seen.has(value)) continue;
          const role = roles.get(value);
          if (role?.kind !== wanted) continue;
          seen.add(value);
          yield [join(prefix, name), value, role];
        }
      }
    }
  }

  /** The parameters of this module and all below it, each once, by their names in the state dict. */
  *namedParameters(): Generator<[string, Tensor]> {
    for (const [name, tensor] of this.#namedTensors('parameter')) yield [name, tensor];
  }

  /** The buffers of this module and all below it, each once, those too that the state dict leaves out. */
  *namedBuffers(): Generator<[string, Tensor]> {
    for (const [name, tensor] of this.#namedTensors('buffer')) yield [name, tensor];
  }

  /** As namedParameters(), without the names. They stay the module's. */
  parameters(): Tensor[] {
    return Array.from(this.namedParameters(), ([, tensor]) => tensor);
  }

  /** Parameters and persistent buffers by name: the module's own tensors, not copies. Clone them to keep a state. */
  stateDict(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [name, tensor, { persistent }] of this.#namedTensors(null))
      if (persistent) state.set(name, tensor);
    return state;
  }

  /**
   * Copies the numbers of a state dict into this module's tensors, converting dtype and device.
   *
   * `strict: false` lets missing and unexpected keys pass, and returns them; a wrong shape is an error
   * always.
   * @throws Error that counts the missing, unexpected and mis-shaped keys and names the first three of each; then
   *   nothing has been loaded
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, { strict = true } = {}): LoadResult {
    const missing: string[] = [];
    const misshaped: string[] = [];
    const unexpected = new Set(state.keys());
    const copies: [target: Tensor, source: Tensor | number][] = [];
    for (const [name, target, { persistent, whenMissing }] of this.#namedTensors(null)) {
      if (!persistent) continue;
      const source = state.get(name);
      unexpected.delete(name);
      if (source !== undefined && source.shape.join() !== target.shape.join()) {
        misshaped.push(`${name}: expected [${target.shape.join(', ')}], got [${source.shape.join(', ')}]`);
      } else if (source !== undefined) copies.push([target, source]);
      else if (whenMissing !== null) copies.push([target, whenMissing]);
      else missing.push(name);
    }
    const wrong = [
      ...(strict && missing.length > 0 ? [`missing ${missing.length} (${firstOf(missing, ', ')})`] : []),
      ...(strict && unexpected.size > 0
        ? [`unexpected ${unexpected.size} (${firstOf([...unexpected], ', ')})`]
        : []),
      ...(misshaped.length > 0 ? [`wrong shape ${misshaped.length} (${firstOf(misshaped, '; ')})`] : []),
    ];
    if (wrong.length > 0) {
      throw new Error(
        `The state dict does not fit ${this.constructor.name}, nothing was loaded: ${wrong.join('; ')}`,
      );
    }
    this.#forgetDerived();
    noGrad(() => {
      for (const [target, source] of copies) {
        if (typeof source === 'number') target.fill_(source);
        else target.copy_(source);
      }
    });
    return { missing, unexpected: [...unexpected] };
  }

  /** Sets `training` here and in all modules below. In training nothing stays that was made of weights (keepDerived()). */
  train(mode = true): this {
    for (const [, module] of this.namedModules()) module.training = mode;
    if (mode) this.#forgetDerived();
    return this;
  }

  /**
   * Lets this module and those below keep what they make of their weights alone (folded BatchNorms, weights in another dtype, resampled
   * positions) from call to call. It is used without gradients only, and made anew when weights have changed, the layout or the
   * dtype. It takes the memory of the weights once more. Several may ask for it; it is freed when the last of them ends, or with the
   * module.
   *
   * @returns what ends it when it is disposed, once
   */
  keepDerived(): Disposable {
    let kept = [...this.#derived()];
    for (const each of kept) each.keep();
    return {
      [Symbol.dispose]: () => {
        for (const each of kept) each.release();
        kept = [];
      },
    };
  }

  *#derived(): Generator<Derived<Tensor>> {
    for (const [, module] of this.namedModules())
      for (const value of Object.values(module)) if (value instanceof Derived) yield value;
  }

  #forgetDerived(): void {
    for (const each of this.#derived()) each.forget();
  }

  /** train(false). */
  eval(): this {
    return this.train(false);
  }

  /** Lets all parameters take gradients, or (false) stops them. */
  requiresGrad_(mode = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(mode);
    return this;
  }

  /** Moves all parameters and buffers; a dtype converts the floating-point ones only. They stay the same tensors. */
  to({ dtype, device }: { dtype?: DType; device?: string }): this {
    this.#forgetDerived();
    noGrad(() => {
      for (const [, tensor] of this.#namedTensors(null)) {
        const target = { dtype: tensor.dtype.includes('float') ? dtype : undefined, device };
        using grad = tensor.grad;
        for (const each of grad === null ? [tensor] : [tensor, grad]) {
          using moved = each.to(target);
          aten.set_data(each, moved);
        }
      }
    });
    return this;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Frees all parameters and buffers; the module is of no use after it. */
  dispose(): void {
    this.#forgetDerived();
    for (const [, tensor] of this.#namedTensors(null)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Three of many, as a message names them. */
function firstOf(all: readonly string[], separator: string): string {
  const more = all.length > 3 ? ` and ${all.length - 3} more` : '';
  return all.slice(0, 3).join(separator) + more;
}
