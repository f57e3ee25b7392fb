import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { discSvg } from '@conquer-dml/testing/pictures';
import { runPython } from '@conquer-dml/testing/python';
import sharp from 'sharp';

// Data sets of 24 images, in the formats that the published ones have.

function put(folder: string, path: string, contents: string | Uint8Array): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}

/** Classes of four images each: discs in a colour of the class. */
async function putImages(folder: string, paths: readonly (readonly string[])[]): Promise<void> {
  for (const [label, ofClass] of paths.entries()) {
    for (const [index, path] of ofClass.entries()) {
      const fill = `hsl(${(label * 360) / paths.length},90%,50%)`;
      const disc = { x: 16 + index, y: 24 - index, r: 8 + index, fill };
      const svg = discSvg({ width: 48, height: 40, ...disc });
      const flat = sharp(Buffer.from(svg)).flatten({ background: '#fff' });
      put(folder, path, await flat.toFormat(path.endsWith('.png') ? 'png' : 'jpeg').toBuffer());
    }
  }
}

const four = [0, 1, 2, 3];

/** Each writes a miniature in the format that the data set has into `at`, under `folder`. Six classes, half of them for training. */
export const miniatures: Record<string, (folder: string, at: string) => Promise<void>> = {
  async cub(folder, at) {
    const ids = [1, 2, 100, 101, 150, 200].map((n) => `${String(n).padStart(3, '0')}.Bird`);
    await putImages(
      folder,
      ids.map((id) => four.map((i) => `${at}/cub-200-2011/images/${id}/bird_${i}.jpg`)),
    );
    put(folder, `${at}/cub-200-2011/images/001.Bird/._bird_0.jpg`, 'no image');
  },
  async cars(folder, at) {
    const classes = [1, 50, 98, 99, 150, 196];
    const paths = classes.map((id) => four.map((i) => `car_ims/${String(id * 10 + i).padStart(6, '0')}.jpg`));
    await putImages(
      folder,
      paths.map((ofClass) => ofClass.map((path) => `${at}/cars196/${path}`)),
    );
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
  async sop(folder, at) {
    for (const [name, ids] of [
      ['train', [1, 7, 11_318]],
      ['test', [11_319, 12_000, 22_634]],
    ] as const) {
      const paths = ids.map((id) => four.map((i) => `bicycle_final/${id}_${i}.JPG`));
      await putImages(
        folder,
        paths.map((ofClass) => ofClass.map((path) => `${at}/sop/${path}`)),
      );
      const lines = paths.flatMap((ofClass, k) =>
        ofClass.map((path, i) => `${4 * k + i + 1} ${ids[k]} 1 ${path}`),
      );
      put(
        folder,
        `${at}/sop/Ebay_${name}.txt`,
        ['image_id class_id super_class_id path', ...lines, ''].join('\n'),
      );
    }
  },
  async inshop(folder, at) {
    const ids = [1, 7, 8, 2, 5, 11].map((n) => `id_${String(n).padStart(8, '0')}`);
    const paths = ids.map((id) => four.map((i) => `img/WOMEN/Dresses/${id}/0${i}_1_front.jpg`));
    await putImages(
      folder,
      paths.map((ofClass) => ofClass.map((path) => `${at}/in-shop/Img/${path}`)),
    );
    const lines = paths.flatMap((ofClass, k) =>
      ofClass.map((path, i) => {
        const status = k < 3 ? 'train' : i < 1 ? 'query' : 'gallery';
        return `${path.padEnd(70)} ${ids[k]} ${status}  `;
      }),
    );
    const head = ['24', 'image_name item_id evaluation_status'];
    put(folder, `${at}/in-shop/Eval/list_eval_partition.txt`, [...head, ...lines, ''].join('\n'));
  },
  async vid(folder, at) {
    const root = `${at}/vehicle-id/VehicleID_V1.0`;
    const vehicles = [2, 30, 4, 900, 901, 902];
    const image = (id: number, i: number) => String(id * 10 + i).padStart(7, '0');
    await putImages(
      folder,
      vehicles.map((id) => four.map((i) => `${root}/image/${image(id, i)}.jpg`)),
    );
    const list = (ids: number[]) => ids.flatMap((id) => four.map((i) => `${image(id, i)} ${id}\n`)).join('');
    put(folder, `${root}/train_test_split/train_list.txt`, list([2, 30, 4]));
    put(folder, `${root}/train_test_split/test_list_800.txt`, list([900, 901]));
    put(folder, `${root}/train_test_split/test_list_1600.txt`, list([901, 902]));
    put(folder, `${root}/train_test_split/test_list_2400.txt`, list([900, 901, 902]));
  },
  async csv(folder, at) {
    const paths = [...'abcdef'].map((name) => four.map((i) => `pictures/${name}, ${i}.png`));
    await putImages(
      folder,
      paths.map((ofClass) => ofClass.map((path) => `${at}/${path}`)),
    );
    const lines = paths.flatMap((ofClass, k) =>
      ofClass.map(
        (path, i) => `"${path}",class ${k},${k < 3 ? 'train,' : `test,${i < 2 ? 'query' : 'gallery'}`}`,
      ),
    );
    put(folder, `${at}/list.csv`, ['path,label,split,role', ...lines, ''].join('\r\n'));
  },
};
