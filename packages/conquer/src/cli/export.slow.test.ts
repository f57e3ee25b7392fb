import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { readSafetensors } from '@conquer-dml/torch';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { drawnPictures } from '../export/photo-pixels.js';
import { openModel } from '../retrieve/open-model.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';

// conquer export as it is typed: weights, and an index with its model.

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  drawnRun(join(folder, 'runs/mine'), drawnExperiment());
  mkdirSync(join(folder, 'photos'));
  for (const [i, { width, height, data }] of drawnPictures().entries())
    await sharp(data, { raw: { width, height, channels: 3 } }).toFile(join(folder, `photos/${i}.png`));
});

const run = (...args: string[]) => conquer(args, { folder });

it('writes weights as one file, which holds what the run has, and as a folder, which opens', async () => {
  const one = await run('export', 'runs/mine', '--safetensors', 'all.safetensors');
  expect([one.code, one.stderr]).toEqual([0, '']);
  expect(one.stdout).toMatch(/^all\.safetensors: \d+\.\d million numbers\n$/);
  using model = await openModel(join(folder, 'runs/mine'));
  const { tensors, metadata } = readSafetensors(join(folder, 'all.safetensors'));
  expect(metadata['conquer.embedder']).toBe(model.id);
  for (const [name, tensor] of model.model.stateDict())
    expect(tensors.get(name)!.toNumbers(), name).toEqual(tensor.toNumbers());
  expect(tensors.has('full_embedding_mask')).toBe(true);
  for (const tensor of tensors.values()) tensor.dispose();
  const parts = await run('export', 'runs/mine', '--safetensors', 'parts', '--json');
  const { weights } = JSON.parse(parts.stdout) as { weights: { files: string[] } };
  expect(weights.files).toEqual(['parts/model.safetensors', 'parts/head.safetensors']);
  for (const file of weights.files) expect(existsSync(join(folder, file))).toBe(true);
});

it('writes of an index its model and its rows in 8 bits, and says how much they find', async () => {
  expect((await run('index', 'runs/mine', 'photos', '--out', 'photos.index')).code).toBe(0);
  const { stdout, stderr, code } = await run('export', 'photos.index', '--onnx', 'exported');
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^image\.onnx: float32, .* on 4 pictures the least cosine to the model is 1\.0/);
  expect(stdout.split('\n').at(-2)).toMatch(
    /^exported\/index\.safetensors: 4 items, 4 images in 8 bits, 0\.0 MB; finds \d+\.\d % of the 3 nearest of 4 of its images, /,
  );
  const { tensors, metadata } = readSafetensors(join(folder, 'exported/index.safetensors'));
  expect(tensors.get('rows')!.shape).toEqual([4, 16]);
  tensors.get('rows')!.dispose();
  expect(JSON.parse(metadata['conquer.items']!)[0]).toEqual({
    ...{ id: '0.png', labels: [], payload: null, images: 1 },
  });
  expect(JSON.stringify(metadata)).not.toContain(folder);
});

it('writes over an earlier export, and leaves nothing of it', async () => {
  expect((await run('export', 'photos.index', '--onnx', 'again', '--half')).code).toBe(0);
  expect(existsSync(join(folder, 'again/image_fp16.onnx'))).toBe(true);
  expect((await run('export', 'runs/mine', '--onnx', 'again')).code).toBe(0);
  const left = readdirSync(join(folder, 'again'), { recursive: true }).sort();
  const written = ['README.md', 'config.json', 'image.onnx', 'onnx', 'onnx/model.onnx'];
  expect(left).toEqual([...written, 'preprocessor_config.json']);
});

it('refuses in one line what does not go together', async () => {
  const refused: [string[], string][] = [
    [['runs/mine'], 'expected --onnx FOLDER or --safetensors FILE, got neither'],
    [
      ['runs/mine', '--safetensors', 'no/a.safetensors'],
      '--safetensors no/a.safetensors: there is no folder',
    ],
    [['runs/mine', '--safetensors', 'a', '--int8'], '--int8: it is for graphs (--onnx FOLDER)'],
    [['runs/mine', '--onnx', 'a', '--names', 'timm'], '--names: it is for weights (--safetensors FILE)'],
    [
      ['runs/mine', '--safetensors', 'a', '--names', 'transformers'],
      'small-resnet: expected a network that transformers has as it is here',
    ],
    [['runs/mine', '--onnx', 'a', '--run', 'b'], '--run: it is for an index, runs/mine is none'],
    [['photos.index', '--onnx', 'a', '--checkpoint', 'last'], '--checkpoint: an index says itself'],
    [['photos', '--onnx', 'a'], 'there is no run in photos'],
    [['photos/0.png', '--onnx', 'a'], 'the checkpoint photos/0.png'],
    [['runs/mine', '--onnx', 'a', '--safetensors', './a'], '--onnx and --safetensors: expected two folders'],
    [['runs/mine', '--onnx', 'runs/mine'], 'runs/mine: expected a new folder for the export, '],
    [['runs/mine', '--safetensors', 'runs/mine'], 'runs/mine: expected a new folder for the export, '],
    [['runs/mine', '--onnx', 'photos.index'], 'photos.index: expected a new folder for the export, '],
    [
      ['runs/mine', '--safetensors', 'runs/mine/checkpoints/best.safetensors'],
      "runs/mine/checkpoints/best.safetensors is a file of conquer's own",
    ],
  ];
  const before = readdirSync(folder);
  for (const [args, problem] of refused) {
    const { code, stdout, stderr } = await run('export', ...args);
    expect([code, stdout, stderr.trim().split('\n').length]).toEqual([2, '', 1]);
    expect(stderr).toContain(`conquer: ${problem}`);
  }
  expect(readdirSync(folder)).toEqual(before);
});
