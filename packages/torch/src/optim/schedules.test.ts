import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { describe, expect, it } from 'vitest';
import { optim, zeros } from '../index.js';

const steps = 30;
const base = 0.7;
const cases: [python: string, fn: optim.ScheduleFunction, count?: number][] = [
  ['s.StepLR(o, step_size=4, gamma=0.3)', optim.stepLR({ stepSize: 4, gamma: 0.3 })],
  ['s.MultiStepLR(o, milestones=[3, 7, 20])', optim.multiStepLR({ milestones: [3, 7, 20] })],
  ['s.CosineAnnealingLR(o, T_max=29, eta_min=0.07)', optim.cosine({ steps: 29, end: 0.1 })],
  ['s.LinearLR(o, start_factor=0.1, total_iters=6)', optim.warmup({ steps: 6, start: 0.1 })],
  ['s.LinearLR(o)', optim.warmup({ steps: 5 })],
  [
    's.SequentialLR(o, [s.LinearLR(o, 0.2, total_iters=6), s.CosineAnnealingLR(o, T_max=23)], milestones=[6])',
    optim.warmup({ steps: 6, start: 0.2, next: optim.cosine({ steps: 23 }) }),
  ],
  ['s.OneCycleLR(o, max_lr=0.7, total_steps=30)', optim.oneCycle({ steps: 30 })],
  [
    's.OneCycleLR(o, max_lr=0.7, total_steps=30, pct_start=0.15, div_factor=10, final_div_factor=100)',
    optim.oneCycle({ steps: 30, pctStart: 0.15, divFactor: 10, finalDivFactor: 100 }),
  ],
];

describeWithPython('schedules against PyTorch', ['torch'], () => {
  it(`give the same learning rates for ${steps} steps, within 1e-12 (PyTorch multiplies step by step)`, () => {
    const expected = runPython<number[][]>(
      `
        import torch, warnings
        import torch.optim.lr_scheduler as s
        warnings.simplefilter('ignore')
        output = []
        for python in input['cases']:
            o = torch.optim.SGD([torch.zeros(1)], lr=input['base'], momentum=0.9)
            schedule = eval(python)
            rates = []
            for _ in range(input['steps']):
                rates.append(o.param_groups[0]['lr'])
                o.step()
                if len(rates) < input['steps']:
                    schedule.step()
            output.append(rates)
      `,
      { steps, base, cases: cases.map(([python]) => python) },
    );
    for (const [index, [python, fn]] of cases.entries()) {
      for (const [step, rate] of (expected[index] ?? []).entries()) {
        const error = Math.abs(fn(step) * base - rate);
        expect(error, `${python} at ${step}: ${fn(step) * base}, PyTorch ${rate}`).toBeLessThan(1e-12);
      }
    }
  });
});

describe('schedules', () => {
  it('stay where they end', () => {
    expect(optim.cosine({ steps: 10, end: 0.25 })(25)).toBe(0.25);
    expect(optim.oneCycle({ steps: 10 })(40)).toBeCloseTo(1 / 25 / 1e4, 15);
  });

  it('oneCycle copes with a rise of no or a single step, and with all steps', () => {
    for (const pctStart of [0, 0.1, 1]) {
      const fn = optim.oneCycle({ steps: 10, pctStart });
      for (let step = 0; step < 12; step++) expect(fn(step)).toBeGreaterThan(0);
      expect(Math.max(...Array.from({ length: 10 }, (_, step) => fn(step)))).toBeLessThanOrEqual(1);
    }
  });
});

describe('Schedule', () => {
  const make = () =>
    new optim.SGD([
      { name: 'a', params: [zeros([1])], lr: 1 },
      { name: 'b', params: [zeros([1])], lr: 0.1 },
    ]);
  const rates = (optimizer: optim.SGD) => optimizer.groups.map(({ lr }) => lr);

  it("multiplies each group's own lr, of groups added later too", () => {
    const optimizer = make();
    const schedule = new optim.Schedule(optimizer, (step) => 1 / (step + 1));
    expect(rates(optimizer)).toEqual([1, 0.1]);
    schedule.step();
    expect(rates(optimizer)).toEqual([0.5, 0.05]);
    optimizer.removeGroup('b');
    optimizer.addGroup({ name: 'b', params: [zeros([1])], lr: 4 });
    schedule.apply();
    expect(rates(optimizer)).toEqual([0.5, 2]);
    schedule.step();
    expect(rates(optimizer)).toEqual([1 / 3, 4 / 3]);
  });

  it('goes on from a saved state', () => {
    const fn = optim.oneCycle({ steps: 10 });
    const optimizer = make();
    const schedule = new optim.Schedule(optimizer, fn);
    for (let i = 0; i < 4; i++) schedule.step();
    const saved = JSON.parse(JSON.stringify([optimizer.stateDict().groups, schedule.stateDict()])) as [
      optim.OptimizerState<optim.SGDOptions>['groups'],
      optim.ScheduleState,
    ];
    const resumed = make();
    const other = new optim.Schedule(resumed, fn);
    resumed.loadStateDict({ tensors: new Map(), groups: saved[0] });
    other.loadStateDict(saved[1]);
    expect(rates(resumed)).toEqual(rates(optimizer));
    schedule.step();
    other.step();
    expect(rates(resumed)).toEqual(rates(optimizer));
    expect(other.steps).toBe(5);
    expect(() => other.loadStateDict({ step: 1, baseLr: { a: 1 } })).toThrow(
      "no learning rate for the groups 'b'",
    );
  });
});
