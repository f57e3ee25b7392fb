import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { scope } from '../index.js';
import { readPth, writePth } from './pth.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

describeWithPython('a resnet50 of torchvision', ['torch', 'torchvision'], () => {
  it('loads key for key, in both formats of torch.save, and goes back', () => {
    const sums = runPython<[string, string, number[], number][]>(
      `
      import torch, torchvision
      state = torchvision.models.resnet50().state_dict()
      torch.save(state, input + '/resnet50.pth')
      torch.save(state, input + '/resnet50.legacy.pth', _use_new_zipfile_serialization=False)
      output = [[k, str(v.dtype)[6:], list(v.shape), v.double().sum().item()] for k, v in state.items()]
      `,
      folder,
    );
    expect(sums.length).toBe(320);
    const check = (state: ReturnType<typeof readPth>) => {
      expect([...state.keys()]).toEqual(sums.map(([key]) => key));
      for (const [key, dtype, shape, sum] of sums) {
        const value = state.get(key);
        expect([value?.dtype, value?.shape]).toEqual([dtype, shape]);
        // Sums in float64 of up to 2.4 million elements, in whatever order each library takes.
        expect(value?.to('float64').sum().item()).toBeCloseTo(sum, 8);
      }
    };
    scope(() => {
      const state = readPth(at('resnet50.pth'));
      check(state);
      check(readPth(at('resnet50.legacy.pth')));
      writePth(at('back.pth'), state);
      writeSafetensors(at('back.safetensors'), state);
      check(readSafetensors(at('back.safetensors')).tensors);
    });
    expect(statSync(at('back.pth')).size).toBeGreaterThan(102_000_000);
    const same = runPython<boolean>(
      `
      import torch
      a, b = torch.load(input + '/resnet50.pth'), torch.load(input + '/back.pth')
      output = list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)
      `,
      folder,
    );
    expect(same).toBe(true);
  });
});
