import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { openCars } from './cars.js';
import { openCub } from './cub.js';
import { openSop } from './sop.js';
import { openVehicleId } from './vehicle-id.js';

// Miniatures in the layouts the data sets are distributed in. Readers look at names only, so the images are empty.

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = temporaryFolder();
  warnings = [];
});

function put(path: string, contents: string | Uint8Array = ''): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}
const partial = () => ({ folder, allowPartial: true, onWarning: (text: string) => warnings.push(text) });
const below = (paths: string[]) => paths.map((path) => path.slice(folder.length + 1));

it('cub: classes by folder, the number tells the half, "._" files are no images', async () => {
  for (const name of ['002.B', '001.A', '101.C', '102.D']) {
    put(`cub-200-2011/images/${name}/b.jpg`);
    put(`cub-200-2011/images/${name}/a.jpg`);
    put(`cub-200-2011/images/${name}/._a.jpg`);
  }
  await expect(openCub({ folder })).rejects.toThrow(
    /expected 5,864 training images, found 4.*this option takes what is there/,
  );
  const { train, test, recallAt } = await openCub(partial());
  expect(train.classNames).toEqual(['001.A', '002.B']);
  expect(below(test.paths)).toEqual(
    ['101.C/a', '101.C/b', '102.D/a', '102.D/b'].map((name) => `cub-200-2011/images/${name}.jpg`),
  );
  expect([[...test.labels], recallAt]).toEqual([
    [0, 0, 1, 1],
    [1, 2, 4, 8],
  ]);
  expect(warnings).toHaveLength(1);
});

it('sop: two lists with a header; the classes of each have their range', async () => {
  const header = 'image_id class_id super_class_id path\n';
  put('sop/Ebay_train.txt', `${header}1 2 1 a/1.JPG\n2 2 1 a/2.JPG\n3 1 1 a/3.JPG\n4 1 1 a/4.JPG\n`);
  put('sop/Ebay_test.txt', `${header}5 11319 1 b/5.JPG\n6 11319 1 b/6.JPG\n7 11320 1 b/7.JPG\n`);
  for (const name of ['a/1', 'a/2', 'a/3', 'a/4', 'b/5', 'b/6', 'b/7']) put(`sop/${name}.JPG`);
  const { train, test, recallAt } = await openSop(partial());
  expect([[...train.labels], [...test.labels]]).toEqual([
    [1, 1, 0, 0],
    [0, 0, 1],
  ]);
  expect([below(train.paths)[2], recallAt]).toEqual(['sop/a/3.JPG', [1, 10, 100, 1000]]);

  put('sop/Ebay_test.txt', `${header}5 12 1 b/5.JPG\n`);
  await expect(openSop(partial())).rejects.toThrow(
    'Ebay_test.txt, line 2, expected a class_id from 11319 to 22634',
  );
  for (const path of ['../x.jpg', '/etc/passwd', 'a/../../x.jpg']) {
    put('sop/Ebay_test.txt', `${header}5 11319 1 ${path}\n`);
    await expect(openSop(partial())).rejects.toThrow(/leads outside/);
  }
  rmSync(join(folder, 'sop/Ebay_test.txt'));
  await expect(openSop(partial())).rejects.toThrow(UserError);
  await expect(openSop(partial())).rejects.toThrow(/Ebay_test.txt, but .*sop has only .*Ebay_train.txt/);
});

describe('links', () => {
  let elsewhere: string;
  beforeEach(() => {
    elsewhere = temporaryFolder();
  });

  it("may be the data set's own folder and the one above; those inside must not lead out", async () => {
    const header = 'image_id class_id super_class_id path\n';
    put('sop/Ebay_train.txt', `${header}1 1 1 a/1.JPG\n2 1 1 a/2.JPG\n3 2 1 a/3.JPG\n`);
    put('sop/Ebay_test.txt', `${header}4 11319 1 b/4.JPG\n5 11319 1 b/5.JPG\n6 11320 1 b/6.JPG\n`);
    for (const name of ['a/1', 'a/2', 'a/3', 'b/4', 'b/5', 'b/6']) put(`sop/${name}.JPG`);
    const real = join(elsewhere, 'Stanford_Online_Products');
    renameSync(join(folder, 'sop'), real);
    symlinkSync(real, join(folder, 'sop'));
    const { train } = await openSop(partial());
    expect(below(train.paths)).toEqual(['sop/a/1.JPG', 'sop/a/2.JPG', 'sop/a/3.JPG']);
    symlinkSync(folder, join(elsewhere, 'data'));
    expect((await openSop({ ...partial(), folder: join(elsewhere, 'data') })).test.paths).toHaveLength(3);
    symlinkSync(join(real, 'a', '1.JPG'), join(real, 'a', 'again.JPG'));
    put('sop/Ebay_train.txt', `${header}1 1 1 a/1.JPG\n2 1 1 a/again.JPG\n3 2 1 a/3.JPG\n`);
    expect((await openSop(partial())).train.paths).toHaveLength(3);

    // Beside the data set, where its link leads, is outside too.
    renameSync(join(real, 'b'), join(elsewhere, 'b'));
    symlinkSync('../b', join(real, 'b'));
    await expect(openSop(partial())).rejects.toThrow(/sop\/b is a link to .*, outside of .*sop: copy it/);
  });

  it('may be the folder of images, but none inside that leads out of it', async () => {
    const root = 'vehicle-id/VehicleID_V1.0';
    for (const list of ['train_list', 'test_list_800', 'test_list_1600', 'test_list_2400'])
      put(`${root}/train_test_split/${list}.txt`, '1 7\n2 7\n3 8\n4 8\n');
    for (const image of [1, 2, 3, 4]) writeFileSync(join(elsewhere, `${image}.jpg`), '');
    symlinkSync(elsewhere, join(folder, root, 'image'));
    expect((await openVehicleId(partial())).train.paths).toHaveLength(4);
    put('secret.jpg');
    rmSync(join(elsewhere, '4.jpg'));
    symlinkSync(join(folder, 'secret.jpg'), join(elsewhere, '4.jpg'));
    await expect(openVehicleId(partial())).rejects.toThrow(/4\.jpg is a link to .*secret\.jpg, outside of/);
  });
});

describeWithPython('cars', ['scipy', 'numpy'], () => {
  const annotations = (images: [path: string, label: number][]) =>
    Buffer.from(
      runPython<string>(
        `
import base64, io, numpy, scipy.io
images = input
annotations = numpy.zeros((1, len(images)), dtype=[('relative_im_path', 'O'), ('class', 'O'), ('test', 'O')])
for i, (path, label) in enumerate(images):
    annotations[0, i] = (path, numpy.uint8(label), numpy.uint8(0))
file = io.BytesIO()
scipy.io.savemat(file, {'annotations': annotations, 'class_names': numpy.array([['a', 'b']], dtype=object)}, do_compression=True)
output = base64.b64encode(file.getvalue()).decode()`,
        images,
      ),
      'base64',
    );

  it('reads the annotations: classes to 98 train, the others test', async () => {
    const labels = [99, 1, 1, 2, 2, 99, 196];
    const images = labels.map((label, i): [string, number] => [`car_ims/00000${i}.jpg`, label]);
    const bytes = annotations(images);
    put('cars196/cars_annos.mat', bytes);
    for (const [path] of images) put(`cars196/${path}`);
    await expect(openCars({ folder })).rejects.toThrow(/expected 8,054 annotated training images, found 4/);
    const { train, test } = await openCars(partial());
    expect([[...train.labels], [...test.labels]]).toEqual([
      [0, 0, 1, 1],
      [0, 0, 1],
    ]);
    expect(below(test.paths)[2]).toBe('cars196/car_ims/000006.jpg');

    put('cars196/cars_annos.mat', bytes.subarray(0, bytes.length / 2));
    await expect(openCars(partial())).rejects.toThrow(
      /cars_annos.mat cannot be read: .*; the data are at https/,
    );
    put('cars196/cars_annos.mat', annotations([['../../x.jpg', 1]]));
    await expect(openCars(partial())).rejects.toThrow(/leads outside/);
  });

  it('reads the development kit where the labels of its test half are there, and says so where not', async () => {
    const kit = (images: [path: string, label: number][]) =>
      Buffer.from(
        runPython<string>(
          `
import base64, io, numpy, scipy.io
annotations = numpy.zeros((1, len(input)), dtype=[('bbox_x1', 'O'), ('class', 'O'), ('fname', 'O')])
for i, (path, label) in enumerate(input):
    annotations[0, i] = (1, numpy.uint8(label), path)
file = io.BytesIO()
scipy.io.savemat(file, {'annotations': annotations})
output = base64.b64encode(file.getvalue()).decode()`,
          images,
        ),
        'base64',
      );
    const half: [string, number][] = [1, 1, 99, 2, 100].map((label, i) => [`0000${i}.jpg`, label]);
    put('stanford_cars/devkit/cars_train_annos.mat', kit(half));
    put('stanford_cars/devkit/cars_test_annos.mat');
    for (const [path] of half) {
      put(`stanford_cars/cars_train/${path}`);
      put(`stanford_cars/cars_test/cars_test/${path}`);
    }
    await expect(openCars(partial())).rejects.toThrow(
      /expected cars_annos\.mat in .*, or both cars_train_annos\.mat and cars_test_annos_withlabels\.mat, but of these it lacks cars_test_annos_withlabels\.mat/,
    );
    put('stanford_cars/cars_test_annos_withlabels.mat', kit(half));
    const { train, test } = await openCars(partial());
    expect(below(train.paths)).toEqual(
      [
        'cars_train/00000',
        'cars_train/00001',
        'cars_train/00003',
        'cars_test/cars_test/00000',
        'cars_test/cars_test/00001',
        'cars_test/cars_test/00003',
      ].map((path) => `stanford_cars/${path}.jpg`),
    );
    expect([...test.labels]).toEqual([0, 1, 0, 1]);
  });
});
