import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Summary } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { program } from '@conquer-dml/testing/program';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { expect, it } from 'vitest';

const folder = temporaryFolder();

function conquer(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

function put(path: string, contents: string | Uint8Array): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}

/** Classes of four images each: discs in a colour of the class. */
async function putImages(paths: readonly (readonly string[])[]): Promise<void> {
  for (const [label, ofClass] of paths.entries()) {
    for (const [index, path] of ofClass.entries()) {
      const fill = `hsl(${(label * 360) / paths.length},90%,50%)`;
      const disc = { x: 16 + index, y: 24 - index, r: 8 + index, fill };
      const svg = discSvg({ width: 48, height: 40, ...disc });
      const flat = sharp(Buffer.from(svg)).flatten({ background: '#fff' });
      put(path, await flat.toFormat(path.endsWith('.png') ? 'png' : 'jpeg').toBuffer());
    }
  }
}

const four = [0, 1, 2, 3];

/** Writes a miniature in the format the data set has; its folder under `data`. Six classes, half of them for training. */
const miniatures: Record<string, (at: string) => Promise<void>> = {
  async cub(at) {
    const ids = [1, 2, 100, 101, 150, 200].map((n) => `${String(n).padStart(3, '0')}.Bird`);
    await putImages(ids.map((id) => four.map((i) => `${at}/cub-200-2011/images/${id}/bird_${i}.jpg`)));
    put(`${at}/cub-200-2011/images/001.Bird/._bird_0.jpg`, 'no image');
  },
  async cars(at) {
    const classes = [1, 50, 98, 99, 150, 196];
    const paths = classes.map((id) => four.map((i) => `car_ims/${String(id * 10 + i).padStart(6, '0')}.jpg`));
    await putImages(paths.map((ofClass) => ofClass.map((path) => `${at}/cars196/${path}`)));
    const rows = paths.flatMap((ofClass, k) => ofClass.map((path) => [path, classes[k]]));
    runPython(
      `
      import numpy, scipy.io
      fields = ['relative_im_path', 'bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2', 'class', 'test']
      annotations = numpy.zeros((1, len(input['rows'])), dtype=[(name, 'O') for name in fields])
      for i, (path, label) in enumerate(input['rows']):
          annotations[0, i] = (path, *[numpy.uint8(n) for n in (1, 2, 30, 40)], numpy.uint8(label), numpy.uint8(0))
      names = numpy.array([['AM General Hummer SUV 2000', 'Acura RL Sedan 2012']], dtype=object)
      scipy.io.savemat(input['file'], {'annotations': annotations, 'class_names': names}, do_compression=True)
      output = None`,
      { rows, file: join(folder, at, 'cars196/cars_annos.mat') },
    );
  },
  async sop(at) {
    for (const [name, ids] of [
      ['train', [1, 7, 11_318]],
      ['test', [11_319, 12_000, 22_634]],
    ] as const) {
      const paths = ids.map((id) => four.map((i) => `bicycle_final/${id}_${i}.JPG`));
      await putImages(paths.map((ofClass) => ofClass.map((path) => `${at}/sop/${path}`)));
      const lines = paths.flatMap((ofClass, k) =>
        ofClass.map((path, i) => `${4 * k + i + 1} ${ids[k]} 1 ${path}`),
      );
      put(`${at}/sop/Ebay_${name}.txt`, ['image_id class_id super_class_id path', ...lines, ''].join('\n'));
    }
  },
  async inshop(at) {
    const ids = [1, 7, 8, 2, 5, 11].map((n) => `id_${String(n).padStart(8, '0')}`);
    const paths = ids.map((id) => four.map((i) => `img/WOMEN/Dresses/${id}/0${i}_1_front.jpg`));
    await putImages(paths.map((ofClass) => ofClass.map((path) => `${at}/in-shop/Img/${path}`)));
    const lines = paths.flatMap((ofClass, k) =>
      ofClass.map((path, i) => {
        const status = k < 3 ? 'train' : i < 1 ? 'query' : 'gallery';
        return `${path.padEnd(70)} ${ids[k]} ${status}  `;
      }),
    );
    const head = ['24', 'image_name item_id evaluation_status'];
    put(`${at}/in-shop/Eval/list_eval_partition.txt`, [...head, ...lines, ''].join('\n'));
  },
  async vid(at) {
    const root = `${at}/vehicle-id/VehicleID_V1.0`;
    const vehicles = [2, 30, 4, 900, 901, 902];
    const image = (id: number, i: number) => String(id * 10 + i).padStart(7, '0');
    await putImages(vehicles.map((id) => four.map((i) => `${root}/image/${image(id, i)}.jpg`)));
    const list = (ids: number[]) => ids.flatMap((id) => four.map((i) => `${image(id, i)} ${id}\n`)).join('');
    put(`${root}/train_test_split/train_list.txt`, list([2, 30, 4]));
    put(`${root}/train_test_split/test_list_800.txt`, list([900, 901]));
    put(`${root}/train_test_split/test_list_1600.txt`, list([901, 902]));
    put(`${root}/train_test_split/test_list_2400.txt`, list([900, 901, 902]));
  },
  async csv(at) {
    const paths = [...'abcdef'].map((name) => four.map((i) => `pictures/${name}, ${i}.png`));
    await putImages(paths.map((ofClass) => ofClass.map((path) => `${at}/${path}`)));
    const lines = paths.flatMap((ofClass, k) =>
      ofClass.map(
        (path, i) => `"${path}",class ${k},${k < 3 ? 'train,' : `test,${i < 2 ? 'query' : 'gallery'}`}`,
      ),
    );
    put(`${at}/list.csv`, ['path,label,split,role', ...lines, ''].join('\r\n'));
  },
};

const settings = [
  '--arch small-resnet --widths 8,16 --bn trained --embedding-dim 16 --image-size 32 --resize 36 --epochs 1',
  '--batch-size 6 --samples-per-class 2 --num-learners 2 --start-learners 2 --lr 1e-3 --threads 1',
]
  .join(' ')
  .split(' ');

describeWithPython('one epoch through the command line', ['scipy', 'numpy'], () => {
  it.each<[dataset: string, recallAt: number[], whatIsMissing: RegExp, described: string[]]>([
    [
      'cub',
      [1, 2, 4, 8],
      /expected 5,864 training images, found 12; 5,924 test/,
      ['test: 12 images of 3 classes'],
    ],
    ['cars', [1, 2, 4, 8], /8,054 annotated training images, found 12/, ['test: 12 images of 3 classes']],
    ['sop', [1, 10, 100, 1000], /59,551 training images, found 12/, ['test: 12 images of 3 classes']],
    [
      'inshop',
      [1, 10, 20, 30, 50],
      /25,882 training images, found 12; 14,218 queries, found 3; 12,612 gallery images, found 9/,
      ['query: 3 images of 3 classes', 'gallery: 9 images of 3 classes'],
    ],
    [
      'vid',
      [1, 5],
      /800 vehicles in test_list_800.txt, found 2/,
      ['small: 8 images of 2', 'medium: 8 images of 2', 'large: 12 images of 3'],
    ],
    ['csv', [1, 2, 4, 8], /^$/, ['query: 6 images of 3 classes', 'gallery: 6 images of 3 classes']],
  ])('%s', async (name, recallAt, whatIsMissing, described) => {
    const at = `data-${name}`;
    await miniatures[name]?.(at);
    const asked = ['train', '--dataset', name, '--dataset-dir', at, ...settings, '--name', name];
    if (name !== 'csv') {
      const refused = conquer(...asked);
      expect([refused.status, refused.stderr.trim().split('\n').at(-1)]).toEqual([
        2,
        expect.stringMatching(whatIsMissing),
      ]);
      expect(refused.stderr).toMatch(
        /--allow-partial: .*\(this option takes what is there\); the data are at https:\/\//,
      );
    }
    const dry = conquer(...asked, '--allow-partial', '--dry-run');
    expect([dry.status, dry.stderr.includes('warning: ')]).toEqual([0, name !== 'csv']);
    for (const line of ['train: 12 images of 3 classes', ...described]) expect(dry.stdout).toContain(line);

    const trained = conquer(...asked, '--allow-partial');
    expect([trained.status, trained.stderr]).toEqual([0, expect.stringContaining('divided into 2 clusters')]);
    for (const k of recallAt) expect(trained.stdout).toContain(`R@${k} `);

    const evaluated = conquer('eval', `runs/${name}`, '--json');
    expect(evaluated.status, evaluated.stderr).toBe(0);
    const { metrics, testSets } = JSON.parse(evaluated.stdout);
    expect(Object.keys(metrics).filter((key) => key.startsWith('R@'))).toEqual(recallAt.map((k) => `R@${k}`));
    expect(Object.keys(testSets ?? {})).toEqual(name === 'vid' ? ['small', 'medium', 'large'] : []);
    if (name === 'vid') expect(testSets.large).toEqual(metrics);
    const summary = JSON.parse(readFileSync(join(folder, 'runs', name, 'summary.json'), 'utf8')) as Summary;
    for (const k of recallAt) expect(metrics[`R@${k}`]).toBeCloseTo(summary.last?.metrics[`R@${k}`] ?? -1, 6);
    // Each class has so few images that a gallery's or a test set's last k finds one wherever it is.
    expect(metrics[`R@${recallAt.at(-1)}`]).toBeGreaterThan(0.6);
    expect(metrics['R@1']).toBeGreaterThan(0.3);
  });
});
