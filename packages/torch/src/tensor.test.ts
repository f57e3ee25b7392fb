import { describe, expect, it } from 'vitest';
import { enableGrad, grad, gradEnabled, noGrad } from './autograd.js';
import { native } from './binding.js';
import { arange, cat, full, ones, rand, randn, stack, tensor, zeros } from './creation.js';
import { TorchError } from './error.js';
import { Generator, manualSeed } from './random.js';
import { cudaIsAvailable, liveTensors } from './runtime.js';
import { scope } from './scope.js';
import { aten, Tensor } from './tensor.js';

describe('creation', () => {
  it('takes nested numbers, typed arrays and a dtype', () => {
    const t = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([t.shape, t.dtype, t.device]).toEqual([[2, 3], 'float32', 'cpu']);
    expect(t.tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(tensor(new Int32Array([1, 2])).dtype).toBe('int32');
    expect(tensor([1, 2], { dtype: 'int64' }).toTypedArray()).toEqual(new BigInt64Array([1n, 2n]));
    expect(tensor(3).shape).toEqual([]);
    expect(tensor(new Float64Array(6), { shape: [2, 3] }).shape).toEqual([2, 3]);
    expect(tensor([1, 0], { dtype: 'bool' }).toTypedArray()).toEqual(new Uint8Array([1, 0]));
  });

  it('refuses rows of different length or depth', () => {
    expect(() => tensor([[1, 2], [3]])).toThrow('rows of different length: 1 where shape [2,2] needs 2');
    expect(() => tensor([[1, 2], 3] as never)).toThrow('different depth');
    expect(() => tensor(new Float32Array(5), { shape: [2, 3] })).toThrow(
      '20 bytes, the shape and dtype need 24',
    );
  });

  it('makes ranges, constants and joins', () => {
    expect(arange(3).tolist()).toEqual([0, 1, 2]);
    expect(arange(3).dtype).toBe('int64');
    expect(arange(1, 2, 0.5, { dtype: 'float32' }).tolist()).toEqual([1, 1.5]);
    expect(full([2], 7).tolist()).toEqual([7, 7]);
    expect(cat([ones([1, 2]), zeros([1, 2])]).tolist()).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(stack([ones([2]), zeros([2])], 1).tolist()).toEqual([
      [1, 0],
      [1, 0],
    ]);
  });
});

describe('operators', () => {
  it('call any ATen operator by schema, with defaults', () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(aten.sum$dim_IntList(x, [1]).tolist()).toEqual([3, 7]);
    expect(aten.sum$dim_IntList(x, 1, true).tolist()).toEqual([[3], [7]]);
    const [values, indices] = aten.topk(x, 1);
    expect([values.tolist(), indices.tolist()]).toEqual([
      [[2], [4]],
      [[1], [1]],
    ]);
    expect(aten.max_pool2d(x.reshape([1, 1, 2, 2]), 2).item()).toBe(4);
    expect(aten.split$Tensor(x, 1).map((part) => part.shape)).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it('return the same object in place', () => {
    const x = ones([2]);
    expect(aten.add_$Scalar(x, 2)).toBe(x);
    expect(x.mul_(3)).toBe(x);
    expect(x.tolist()).toEqual([9, 9]);
  });

  it('change lists in place', () => {
    const a = [ones([2]), ones([3])];
    aten._foreach_add_$Scalar(a, 1.5);
    expect(a.map((t) => t.tolist())).toEqual([
      [2.5, 2.5],
      [2.5, 2.5, 2.5],
    ]);
  });

  it('name operator, arguments and reason when they fail', () => {
    const a = ones([2, 3]);
    const b = ones([4, 5]);
    expect(() => a.mm(b)).toThrow(TorchError);
    expect(() => a.mm(b)).toThrow(
      'aten::mm(self: float32[2,3], mat2: float32[4,5]): mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)',
    );
    expect(() => a.mm(b)).not.toThrow(/Exception raised from/);
    expect(() => aten.mm(a, 5 as never)).toThrow("argument 'mat2' must be a Tensor, got 5");
    expect(() => (aten.mm as (a: Tensor) => Tensor)(a)).toThrow("argument 'mat2' is missing");
    expect(() => a.to('float99' as never)).toThrow("unknown dtype 'float99'");
    expect(() => aten.sum$dim_IntList(a, [0.5])).toThrow('expected an integer');
    expect(() => aten.sum$dim_IntList(a, [Number.NaN])).toThrow('expected an integer');
    expect(() => aten.contiguous(a, 'sideways' as never)).toThrow("unknown memory format 'sideways'");
    expect(() => (aten as unknown as Record<string, () => void>).no_such_op?.()).toThrow(
      'has no operator aten::no_such_op',
    );
    expect(() => aten.relu(...([a, 1, 2, 3] as unknown as [Tensor]))).toThrow(
      'takes at most 1 arguments, got 4',
    );
  });

  it('refuse CUDA where there is none, and say so', () => {
    if (cudaIsAvailable()) return;
    expect(() => zeros([2], { device: 'cuda:0' })).toThrow(
      /'cuda:0' was asked for, but CUDA is not to be had/,
    );
    expect(() => ones([2]).to('cuda')).toThrow(/CUDA is not to be had/);
  });
});

describe('handles', () => {
  it('that are wrong are errors, never crashes', () => {
    for (const handle of [0, -1, 0.5, Number.NaN, 1e300, 2 ** 53, 12345, Number.POSITIVE_INFINITY]) {
      expect(() => native.shape(handle)).toThrow();
      expect(() => native.dispose(handle)).toThrow();
    }
    expect(() => native.shape('x' as never)).toThrow();
    const relu = native.findOperator('aten::relu', '');
    for (const value of [0, 0.5, 12345, 'x', {}, [1]])
      expect(() => relu?.call(value)).toThrow("argument 'self'");
    expect(native.findOperator('aten::no_such_op', '')).toBe(null);
    const t = ones([2]);
    const { handle } = t;
    t.dispose();
    expect(() => native.shape(handle)).toThrow('disposed');
  });

  it('of a disposed tensor throw with advice', () => {
    const t = ones([2]);
    t.dispose();
    t.dispose();
    expect(t.disposed).toBe(true);
    expect(() => t.add(1)).toThrow(TorchError);
    expect(() => ones([2]).add(t)).toThrow('disposed tensor');
    expect(() => t.shape).toThrow('keep() it, or return it from its scope');
  });
});

describe('scope', () => {
  it('frees what it made, except its result and what was kept', () => {
    const before = liveTensors();
    let kept: Tensor | undefined;
    const { a, rest } = scope(() => {
      kept = ones([1]).keep();
      zeros([5]).add(1);
      return { a: ones([2]).add(1), rest: [zeros([3])] };
    });
    expect(liveTensors()).toBe(before + 3);
    expect(a.tolist()).toEqual([2, 2]);
    for (const t of [a, ...rest, kept]) t?.dispose();
    expect(liveTensors()).toBe(before);
  });

  it('hands results to the surrounding scope', () => {
    const before = liveTensors();
    scope(() => {
      const inner = scope(() => ones([2]));
      expect(inner.disposed).toBe(false);
    });
    expect(liveTensors()).toBe(before);
  });

  it('frees everything when the body throws', () => {
    const before = liveTensors();
    expect(() =>
      scope(() => {
        ones([2]).mm(ones([2]));
      }),
    ).toThrow(TorchError);
    expect(liveTensors()).toBe(before);
  });

  it('refuses an async body', () => {
    expect(() => scope(async () => ones([1]))).toThrow('synchronous');
  });

  it('works with using', () => {
    const before = liveTensors();
    {
      using t = ones([2]);
      expect(t.numel()).toBe(2);
    }
    expect(liveTensors()).toBe(before);
  });
});

describe('autograd', () => {
  it('accumulates gradients in leaves', () => {
    const x = tensor([1, 2, 3], { requiresGrad: true });
    x.square().sum().backward();
    expect(x.grad?.tolist()).toEqual([2, 4, 6]);
    x.mul(2).sum().backward();
    expect(x.grad?.tolist()).toEqual([4, 6, 8]);
    x.grad = null;
    expect(x.grad).toBeNull();
    expect(() => {
      x.grad = ones([2]);
    }).toThrow('needs the shape');
  });

  it('gives gradients of chosen inputs', () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const y = x.pow(3);
    expect(grad(y, [x], [ones([2])])[0]?.tolist()).toEqual([3, 12]);
  });

  it('is off inside noGrad, also after an error', () => {
    const x = tensor([1], { requiresGrad: true });
    expect(noGrad(() => x.mul(2).requiresGrad)).toBe(false);
    expect(() =>
      noGrad(() => {
        throw new Error('x');
      }),
    ).toThrow();
    expect(gradEnabled()).toBe(true);
    expect(noGrad(() => enableGrad(() => x.mul(2).requiresGrad))).toBe(true);
  });

  it('says why backward is impossible', () => {
    expect(() => ones([1]).backward()).toThrow(/does not require grad/);
    expect(() => ones([2], { requiresGrad: true }).mul(2).backward()).toThrow(/scalar outputs/);
  });
});

describe('random', () => {
  it('draws the same numbers for the same seed and state', () => {
    const generator = new Generator(7);
    const state = generator.state();
    const a = rand([4], { generator }).tolist();
    generator.setState(state);
    expect(rand([4], { generator }).tolist()).toEqual(a);
    expect(rand([4], { generator: new Generator(7) }).tolist()).toEqual(a);
    manualSeed(3);
    const b = randn([4]).tolist();
    manualSeed(3);
    expect(randn([4]).tolist()).toEqual(b);
  });

  it('refuses a state that is none', () => {
    expect(() => new Generator(1).setState(new Uint8Array(3))).toThrow();
  });
});

describe('host memory', () => {
  it('copies in and out', () => {
    const t = zeros([2, 2]);
    t.copyFromBuffer(new Float32Array([5, 6]), 2);
    expect(t.tolist()).toEqual([
      [0, 0],
      [5, 6],
    ]);
    expect(() => t.copyFromBuffer(new Float32Array(3), 2)).toThrow('do not fit');
    expect(() => t.copyFromBuffer(new Float32Array(3), -1)).toThrow('do not fit');
    expect(() => t.copyFromBuffer(new Float64Array(1))).toThrow(
      'the tensor is float32, the array Float64Array',
    );
    expect(t.t().toTypedArray()).toEqual(new Float32Array([0, 5, 0, 6]));
    expect(
      new Tensor(native.fromBuffer(new Float32Array(new SharedArrayBuffer(8)), [2], 'float32')).tolist(),
    ).toEqual([0, 0]);
  });
});

it('a buffer that does not fill a shape is refused before memory for the shape is asked for', () => {
  const refused = (shape: number[]) => () => native.fromBuffer(new Float32Array(1), shape, 'float32');
  expect(refused([2 ** 24, 2 ** 24])).toThrow(
    'the buffer has 4 bytes, the shape and dtype need 1125899906842624',
  );
  expect(refused([2 ** 52, 2 ** 52, 2 ** 52])).toThrow('the buffer has 4 bytes');
  expect(refused([2, 0])).toThrow('the buffer has 4 bytes, the shape and dtype need 0');
  expect(refused([-1, -1])).toThrow('a shape has sizes of 0 or more, got -1');
});
