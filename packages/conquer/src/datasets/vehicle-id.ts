import { part } from '../part.js';
import type { Dataset, DatasetContext, Split } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  publishedOptions,
  sortedIds,
  wholeNumber,
} from './distribution.js';

/** The test sets, by their numbers of vehicles. */
const sizes = [
  ['small', 800],
  ['medium', 1600],
  ['large', 2400],
] as const;

/**
 * PKU VehicleID (Liu et al. 2016). `vehicle-id/VehicleID_V1.0/image/*.jpg` and `train_test_split/train_list.txt`,
 * `test_list_800.txt`, `…1600.txt`, `…2400.txt` with lines `image_name vehicle_id`, the image without its `.jpg`.
 * Training reports on the large test set; small, medium and large are in `testSets`. Each image is looked for among
 * the others of its test set, as in the TPAMI 2021 authors' code.
 *
 * 13,164 vehicles to train on are expected; copies differ, so that another number is only said.
 * @throws UserError if it is not there, or not whole and `allowPartial` is not set
 */
export async function openVehicleId(options: DistributionOptions): Promise<Dataset> {
  const page = 'https://www.pkuml.org/resources/pku-vehicleid.html';
  const names = {
    documented: 'vehicle-id/VehicleID_V1.0',
    others: ['VehicleID_V1.0', 'VehicleID', 'PKU-VehicleID', 'VID'],
    holds: ['train_test_split/train_list.txt'],
  };
  const data = await Distribution.open('vid', names, page, options, ['image']);
  const listed = await readList(data, 'train_list.txt');
  const vehicles = sortedIds(listed).length;
  if (vehicles !== 13_164) data.warn(`expected 13,164 vehicles in train_list.txt, found ${vehicles}`);
  const train = data.split('train', await data.present(listed, 'train_list.txt'));

  const testSets: Split[] = [];
  for (const [name, size] of sizes) {
    const file = `test_list_${size}.txt`;
    const images = await readList(data, file);
    data.checkSizes([[`vehicles in ${file}`, sortedIds(images).length, size]]);
    testSets.push(data.split(name, await data.present(images, file)));
  }
  const [, , test] = testSets as [Split, Split, Split];
  return data.checked({ name: 'vid', train, test, testSets, recallAt: [1, 5] });
}

async function readList(data: Distribution, name: string): Promise<ListedImage<number>[]> {
  const file = `train_test_split/${name}`;
  return (await data.lines(file)).map(({ text, line }) => {
    const where = `${file}, line ${line},`;
    const [image, vehicle, ...rest] = text.split(/\s+/);
    const id = wholeNumber(vehicle);
    if (image === undefined || Number.isNaN(id) || rest.length > 0)
      throw data.error(`${where} expected "image_name vehicle_id", got ${JSON.stringify(text)}`);
    data.resolve(image, where);
    return { path: data.resolve(`image/${image}.jpg`, where), id };
  });
}

export const vehicleId = part({
  name: 'vid',
  help: 'PKU VehicleID',
  options: publishedOptions,
  build: (options, { onWarning }: DatasetContext) => openVehicleId({ ...options, onWarning }),
});
