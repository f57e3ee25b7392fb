import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';

// A run on all classes there are measures nothing: no command shows a number for it.

const images = fileURLToPath(new URL('../../test/fixtures/runs/images/', import.meta.url));
let folder: string;
const run = async (...args: string[]) => {
  const ended = await conquer(args, { folder });
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
};

beforeAll(() => {
  folder = temporaryFolder();
  // Birds' classes of both halves of the published split; what an image is, its bytes say.
  const birds = join(folder, 'CUB_200_2011', 'images');
  mkdirSync(birds, { recursive: true });
  for (const [index, name] of readdirSync(images).entries()) {
    const to = join(birds, `${index < 6 ? index + 1 : index + 95}.bird`.padStart(8, '0'));
    mkdirSync(to);
    for (const image of readdirSync(join(images, name)))
      cpSync(join(images, name, image), join(to, image.replace('.png', '.jpg')));
  }
});

const data = {
  folder: ['--dataset', 'folder', '--dataset-dir', images],
  cub: ['--dataset', 'cub', '--dataset-dir', '.', '--allow-partial', 'yes'],
};
const small =
  '--arch small-resnet --widths 4,8 --image-size 16 --resize 20 --embedding-dim 8 --num-learners 2 --mod-epoch 1 ' +
  '--batch-size 8 --samples-per-class 2 --lr 1e-3 --bn trained --threads 1 --cache no --train-on all --tensorboard yes';

it.each(Object.entries(data))('%s', async (name, dataset) => {
  const path = join('runs', name);
  const read = (file: string) => readFileSync(join(folder, path, file), 'utf8');
  const first = await run('train', ...dataset, ...small.split(' '), '--epochs', '1', '--name', name);
  expect(first.stderr).toContain(
    '48 images of 12 classes to train on, all there are: nothing is left to test on',
  );
  const second = await run('train', '--resume', path, '--epochs', '2');
  for (const { stdout, stderr } of [first, second]) {
    expect(stdout).toContain('Nothing was measured');
    expect(stdout + stderr).not.toMatch(/R@1|MAP@R|NMI|NaN|did not learn/);
  }
  expect(JSON.parse(read('summary.json'))).toMatchObject({
    best: null,
    last: null,
    untrained: null,
    queries: 0,
  });
  const records = read('metrics.jsonl').trim().split('\n');
  expect(records.map((line) => JSON.parse(line)).map(({ epoch, metrics }) => [epoch, metrics])).toEqual([
    [0, null],
    [1, null],
  ]);
  // What is used is the last epoch, by either name.
  expect(read('checkpoints/best.safetensors')).toBe(read('checkpoints/last.safetensors'));
  const events = readdirSync(join(folder, path, 'tensorboard')).map((file) => read(`tensorboard/${file}`));
  expect(events.join('')).toContain('train/metric loss');
  expect(events.join('')).not.toMatch(/(test|validation)\/(R@|MAP|mARP|NMI)/);

  const listed = await run('runs', path);
  expect(listed.stdout).toContain(`${path}  finished 2/2, not measured`);
  expect(listed.stdout).not.toContain('best');
  expect(JSON.parse((await run('runs', path, '--json')).stdout)).toMatchObject({ best: null, epochs: 2 });
  const evaluated = await conquer(['eval', path], { folder });
  expect([evaluated.code, evaluated.stderr]).toEqual([
    2,
    `conquer: ${path} trained on every class (--train-on all): none is left to evaluate on\n`,
  ]);
  await run('report', path);
  expect(read('report.html')).toContain(name);

  const index = JSON.parse((await run('index', path, images, '--json')).stdout);
  expect(index.images).toBe(48);
  const image = join(images, 'class-06', '0.png');
  const found = await run('search', index.index, image, '--top', '2', '--json');
  expect(JSON.parse(found.stdout).matches[0].path).toContain(join('class-06', '0.png'));
});
