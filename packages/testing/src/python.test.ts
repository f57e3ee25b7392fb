import { type DType, Tensor, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { describeWithPython, runPython } from './python.js';

describeWithPython('runPython', ['torch', 'numpy'], () => {
  it('carries numbers, strings, lists, objects and tensors of every dtype there and back', () => {
    const dtypes: DType[] = ['float32', 'float64', 'int64', 'int32', 'uint8', 'bool'];
    const input = {
      numbers: [1, 0.1, -1e300, null, true],
      text: 'naïve "text"\n',
      tensors: dtypes.map((dtype) => tensor([[0, 1, 1]], { dtype })),
      scalar: tensor(2.5),
      transposed: tensor([
        [1, 2],
        [3, 4],
      ]).t(),
      empty: tensor([]),
    };
    const { seen, back } = runPython<{ seen: string[]; back: typeof input }>(
      `
        import numpy
        numbers = [t.numpy() for t in input['tensors'][:1]] + input['tensors'][1:]
        output = {
            'seen': [str(t.dtype) for t in input['tensors']] + [str(input['transposed'].tolist())],
            'back': {**input, 'tensors': numbers},
        }
      `,
      input,
    );
    expect(seen).toEqual([...dtypes.map((dtype) => `torch.${dtype}`), '[[1.0, 3.0], [2.0, 4.0]]']);
    expect([back.numbers, back.text]).toEqual([input.numbers, input.text]);
    const plain = (t: Tensor) => [t.dtype, t.shape, t.tolist()];
    expect(back.tensors.map(plain)).toEqual(input.tensors.map(plain));
    for (const key of ['scalar', 'transposed', 'empty'] as const) {
      expect(back[key]).toBeInstanceOf(Tensor);
      expect(plain(back[key])).toEqual(plain(input[key]));
    }
  });

  it('fails with the traceback, or when nothing was returned', () => {
    expect(() => runPython('x = 1\nraise ValueError(x)')).toThrow(/line 2.*ValueError: 1/s);
    expect(() => runPython('x = 1')).toThrow('assign its result to the variable output');
    expect(() => runPython("output = float('nan')")).toThrow('not JSON compliant');
  });
});
