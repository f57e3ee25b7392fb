import { type Handle, type NativeOperator, native } from './binding.js';
import { TorchError, torchError } from './error.js';
import { recorded } from './recording.js';

/** What is needed here of a tensor. */
interface Wrapped {
  readonly handle: Handle;
  readonly disposed: boolean;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** The class that wraps handles; given by tensor.ts, which needs the operators that are made here. */
type TensorClass = new (handle: Handle) => Wrapped;

/** How an argument crosses to C++, by the type in the operator's schema. */
type Kind = 'tensor' | 'tensors' | 'generator' | 'plain';

function kindOf(type: string): Kind {
  switch (type) {
    case 'Tensor':
    case 'Tensor?':
      return 'tensor';
    case 'Tensor[]':
    case 'Tensor?[]':
    case 'Tensor[]?':
      return 'tensors';
    case 'Generator?':
    case 'Generator':
      return 'generator';
    default:
      return 'plain';
  }
}

/** One argument in words, for error messages: `float32[2,3]`, `[1, 2]`, `null`. */
function describe(value: unknown): string {
  if (isTensor(value)) return value.disposed ? 'disposed tensor' : `${value.dtype}[${value.shape}]`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map(describe).join(', ');
    return `[${shown}${value.length > 8 ? `, … ${value.length} in all` : ''}]`;
  }
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'object' && value !== null) return value.constructor.name;
  return String(value);
}

function isTensor(value: unknown): value is Wrapped {
  return typeof value === 'object' && value !== null && 'handle' in value && 'requiresGrad' in value;
}

function isGenerator(value: unknown): value is { handle: Handle } {
  return typeof value === 'object' && value !== null && 'handle' in value && 'setState' in value;
}

function compile(TensorOf: TensorClass, name: string, overload: string, operator: NativeOperator) {
  const kinds = operator.arguments.map((argument) => kindOf(argument.type));
  const names = operator.arguments.map((argument) => argument.name);
  const { call, returns, aliases } = operator;

  const handleOf = (value: unknown, argument: number): Handle => {
    if (value instanceof TensorOf) return value.handle;
    throw new TypeError(`argument '${names[argument]}' must be a Tensor, got ${describe(value)}`);
  };
  const toNative = (kind: Kind, value: unknown, argument: number): unknown => {
    if (value === null || value === undefined) return value;
    if (kind === 'tensor') return handleOf(value, argument);
    if (kind === 'generator') {
      if (isGenerator(value)) return value.handle;
      throw new TypeError(`argument '${names[argument]}' must be a Generator, got ${describe(value)}`);
    }
    if (!Array.isArray(value))
      throw new TypeError(
        `argument '${names[argument]}' must be an array of tensors, got ${describe(value)}`,
      );
    return value.map((item) => (item === null || item === undefined ? null : handleOf(item, argument)));
  };
  const wrap = (type: string | undefined, value: unknown): unknown => {
    if (type === 'Tensor') return value === null ? null : new TensorOf(value as Handle);
    if (type === 'Tensor[]') return (value as Handle[]).map((handle) => new TensorOf(handle));
    return value;
  };
  const [firstType] = returns;
  const [firstAlias = -1] = aliases;
  const key = `${name}${overload && `.${overload}`}`;
  // In-place operators return the very object they were given.
  const results = (args: unknown[], result: unknown): unknown => {
    if (returns.length === 1) return firstAlias >= 0 ? args[firstAlias] : wrap(firstType, result);
    if (returns.length === 0) return undefined;
    return (result as unknown[]).map((value, i) => {
      const alias = aliases[i] ?? -1;
      return alias >= 0 ? args[alias] : wrap(returns[i], value);
    });
  };

  return (...args: unknown[]): unknown => {
    let result: unknown;
    try {
      const converted = args.slice();
      for (let i = 0; i < args.length; i++) {
        const kind = kinds[i];
        if (kind !== 'plain' && kind !== undefined) converted[i] = toNative(kind, args[i], i);
      }
      result = call(...converted);
    } catch (error) {
      const given = args.map((value, i) => `${names[i] ?? i}: ${describe(value)}`).join(', ');
      throw torchError(`aten::${key}(${given})`, error);
    }
    return recorded(key, args, results(args, result));
  };
}

/**
 * Every ATen operator of the linked libtorch: `aten.mm(a, b)`, overload `sum.dim_IntList` is
 * `aten.sum$dim_IntList(a, [1])`. Arguments stand in schema order, keyword-only ones too; those left out or null
 * take the schema's default. Operators are looked up at their first use and kept.
 *
 * @typeParam Operators their signatures, as `npm run codegen` wrote them down
 * @throws TorchError with operator, arguments (shapes, dtypes) and libtorch's message.
 */
export function makeAten<Operators>(TensorOf: TensorClass): Operators {
  return new Proxy(Object.create(null), {
    get(target: Record<string, unknown>, property) {
      if (typeof property !== 'string') return undefined;
      const known = target[property];
      if (known !== undefined) return known;
      const [name = '', overload = ''] = property.split('$');
      const operator = native.findOperator(`aten::${name}`, overload);
      if (operator === null) {
        throw new TorchError(
          `libtorch ${native.version()} has no operator aten::${name}${overload && `.${overload}`}`,
        );
      }
      const call = compile(TensorOf, name, overload, operator);
      target[property] = call;
      return call;
    },
  }) as Operators;
}
