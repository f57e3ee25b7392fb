import { describe, expect, it } from 'vitest';
import { liveTensors, noGrad, ones, optim, scope, type Tensor, tensor } from '../index.js';

function step(optimizer: optim.Optimizer<optim.AdamOptions>): void {
  scope(() => {
    optimizer.zeroGrad();
    for (const { params } of optimizer.groups) for (const param of params) param.square().sum().backward();
    optimizer.step();
  });
}

function make(names = ['backbone', 'head'], shape = [2]) {
  return new optim.AdamW(
    names.map((name) => ({
      name,
      params: [tensor([1, 2], { requiresGrad: true }), ones(shape, { requiresGrad: true })],
    })),
    { lr: 0.1 },
  );
}

/** As it comes back from safetensors and JSON. */
function viaFiles(state: optim.OptimizerState<optim.AdamOptions>): optim.OptimizerState<optim.AdamOptions> {
  return {
    tensors: new Map([...state.tensors].map(([key, t]) => [key, t.clone()])),
    groups: JSON.parse(JSON.stringify(state.groups)),
  };
}

describe('optimizer state', () => {
  it('names tensors by group and position, and has options and counts as JSON', () => {
    const optimizer = make();
    expect(optimizer.stateDict().tensors.size).toBe(0);
    step(optimizer);
    const { tensors, groups } = optimizer.stateDict();
    expect([...tensors.keys()]).toEqual([
      'backbone.0.exp_avg',
      'backbone.0.exp_avg_sq',
      'backbone.1.exp_avg',
      'backbone.1.exp_avg_sq',
      'head.0.exp_avg',
      'head.0.exp_avg_sq',
      'head.1.exp_avg',
      'head.1.exp_avg_sq',
    ]);
    const options = { lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 };
    expect(JSON.parse(JSON.stringify(groups))).toEqual([
      { name: 'backbone', options, steps: [1, 1] },
      { name: 'head', options, steps: [1, 1] },
    ]);
  });

  it('goes on exactly where it was', () => {
    const [one, other] = [make(), make()];
    for (let i = 0; i < 3; i++) step(one);
    const head = one.groups[1];
    if (head) head.lr = 0.5;
    const saved = viaFiles(one.stateDict());
    for (const [i, { params }] of other.groups.entries()) {
      for (const [j, param] of params.entries()) {
        noGrad(() => param.copy_(one.groups[i]?.params[j] as Tensor));
      }
    }
    other.loadStateDict(saved);
    const live = liveTensors();
    other.loadStateDict(saved);
    expect(liveTensors()).toBe(live);
    for (let i = 0; i < 3; i++) {
      step(one);
      step(other);
    }
    const numbers = (optimizer: optim.AdamW) =>
      optimizer.groups.map(({ params }) => params.map((p) => p.tolist()));
    expect(numbers(other)).toEqual(numbers(one));
    expect(other.stateDict().groups).toEqual(one.stateDict().groups);
    expect(other.groups[1]?.lr).toBe(0.5);
  });

  it('lists all that does not fit, and loads nothing', () => {
    const source = make();
    step(source);
    const saved = source.stateDict();

    const renamed = make(['backbone', 'masks']);
    expect(() => renamed.loadStateDict(saved)).toThrow(
      "nothing was loaded: unexpected group 'head'; missing group 'masks'; unexpected head.0.exp_avg",
    );
    const reshaped = make(['backbone', 'head'], [3]);
    step(reshaped);
    const before = reshaped.stateDict().tensors.get('backbone.0.exp_avg')?.tolist();
    expect(() => reshaped.loadStateDict(saved)).toThrow(
      'backbone.1.exp_avg: expected [3], got [2]; backbone.1.exp_avg_sq: expected [3], got [2]; head.1.exp_avg',
    );
    expect(reshaped.stateDict().tensors.get('backbone.0.exp_avg')?.tolist()).toEqual(before);

    const incomplete = viaFiles(saved);
    incomplete.tensors.delete('head.0.exp_avg_sq');
    incomplete.tensors.set('head.0.momentum_buffer', ones([2]));
    expect(() => make().loadStateDict(incomplete)).toThrow(
      'nothing was loaded: missing head.0.exp_avg_sq; unexpected head.0.momentum_buffer',
    );
    const longer = viaFiles(saved);
    longer.groups[0]?.steps.push(4);
    expect(() => make().loadStateDict(longer)).toThrow("group 'backbone' has 2 parameters, got 3");
  });

  it('takes the algorithm from the program, and says where the state came from another', () => {
    const source = make();
    step(source);
    const saved = source.stateDict();
    const params = source.groups.map(({ name, params }) => ({ name, params: [...params] }));
    using adam = new optim.Adam(params);
    expect(() => adam.loadStateDict(saved)).toThrow(
      'nothing was loaded: it is the state of AdamW, expected Adam',
    );
    // Nor does a switch in the file make another optimiser of it, as Adam of PyTorch 2.13 becomes AdamW.
    const switched = viaFiles(saved);
    Object.assign(switched.groups[0]?.options ?? {}, { decoupledWeightDecay: true });
    expect(() => make().loadStateDict(switched)).toThrow(
      "nothing was loaded: group 'backbone' has no decoupledWeightDecay, got true",
    );
    using sgd = new optim.SGD(params, { momentum: 0.9 });
    using nesterov = new optim.SGD(params, { momentum: 0.9, nesterov: true });
    expect(() => sgd.loadStateDict(nesterov.stateDict())).toThrow(
      "nothing was loaded: group 'backbone' has nesterov false, got true",
    );
    const hostile = viaFiles(saved);
    Object.assign(hostile.groups[0]?.options ?? {}, { params: [], lr: '1' });
    expect(() => make().loadStateDict(hostile)).toThrow(
      /backbone' has lr 0\.1, got "1".*has no params, got \[\]/,
    );
    const beyond = viaFiles(saved);
    Object.assign(beyond.groups[0]?.options ?? {}, { eps: -1 });
    expect(() => make().loadStateDict(beyond)).toThrow(RangeError);
  });

  it('starts anew for a group that was removed and added again', () => {
    const optimizer = make();
    step(optimizer);
    const params = optimizer.groups[1]?.params ?? [];
    optimizer.removeGroup('head');
    optimizer.addGroup({ name: 'head', params, lr: 3 });
    expect(optimizer.stateDict().groups.map(({ steps }) => steps)).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(optimizer.groups[1]?.lr).toBe(3);
    expect(optimizer.groups[1]?.weightDecay).toBe(0.01);
  });
});

describe('groups', () => {
  it('refuse names and parameters that are in use, and unknown names', () => {
    const optimizer = make();
    const param = optimizer.groups[0]?.params[0] as Tensor;
    expect(() => optimizer.addGroup({ name: 'head', params: [] })).toThrow("already has a group 'head'");
    expect(() => optimizer.addGroup({ name: 'new', params: [ones([1]), param] })).toThrow(
      "Parameter 1 of group 'new' is in the optimizer already",
    );
    expect(() => optimizer.addGroup({ name: 'new', params: [param.mul(2)] })).toThrow(
      "Parameter 0 of group 'new' was computed from other tensors",
    );
    expect(() => optimizer.removeGroup('heads')).toThrow("no group 'heads', only 'backbone', 'head'");
    expect(optimizer.groups).toHaveLength(2);
  });

  it('refuse options out of their range', () => {
    const params = [ones([1])];
    expect(() => new optim.Adam([{ params }], { lr: -1 })).toThrow('lr has to be 0 or more, not -1');
    expect(() => new optim.Adam([{ params, betas: [0.9, 1] }])).toThrow(
      'betas[1] has to be at least 0 and below 1, not 1',
    );
    expect(() => new optim.AdamW([{ params }], { weightDecay: Number.NaN })).toThrow('weightDecay has to be');
    expect(() => new optim.SGD([{ params }], { nesterov: true })).toThrow(
      'nesterov needs a momentum above 0',
    );
  });

  it('take the default where an option is undefined', () => {
    const optimizer = new optim.Adam([{ params: [ones([1])], lr: undefined }], { eps: undefined });
    expect(optimizer.groups[0]).toMatchObject({ lr: 1e-3, eps: 1e-8, name: '0' });
  });
});
