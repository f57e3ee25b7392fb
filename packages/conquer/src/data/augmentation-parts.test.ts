import { Generator, liveTensors, rand, scope } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { imageNetInput } from '../models/input-format.js';
import { preprocessingFor } from '../models/preprocessing.js';
import { buildNamed } from '../named-part.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { augmentations } from './augmentations.js';
import { imageOptions } from './image-options.js';

const seen = (whole: boolean, cache: boolean) =>
  preprocessingFor(imageNetInput, {
    size: 32,
    resize: 40,
    reduced: cache ? (whole ? 'square' : 'short side') : null,
  });

describe.each(augmentations.map((one) => [one.name, one] as const))(
  'the augmentation %s',
  (name, { whole }) => {
    it.each([true, false])('makes batches of the size asked for (with a cache: %s)', (cache) => {
      const context = seen(whole, cache);
      const { cropping, transform } = buildNamed(augmentations, { name }, context, 'augmentation');
      expect(cropping.size).toBe(32);
      const live = liveTensors();
      scope(() => {
        const photos = rand([4, 3, 32, 32], { generator: new Generator(1) });
        expect(transform.apply(photos, new Random(1)).shape).toEqual([4, 3, 32, 32]);
      });
      expect(liveTensors()).toBe(live);
    });

    it('sees of a wide image the whole, or a part that is drawn', () => {
      const context = seen(whole, true);
      const { cropping } = buildNamed(augmentations, { name }, context, 'augmentation');
      // As a cache holds it.
      const image = whole ? { width: 40, height: 40 } : { width: 80, height: 40 };
      const widths = [1, 2, 3].map((seed) => cropping.draw(image, new Random(seed)).crop.width);
      if (whole) expect(widths).toEqual([40, 40, 40]);
      else expect(new Set(widths).size).toBeGreaterThan(1);
    });

    it.runIf(!whole)('resizes by the filter that the network was trained with', () => {
      for (const interpolation of ['bilinear', 'bicubic'] as const) {
        const context = preprocessingFor({ ...imageNetInput, interpolation }, { size: 32, resize: 40 });
        const { cropping } = buildNamed(augmentations, { name }, context, 'augmentation');
        expect(cropping.filter).toBe(interpolation);
      }
    });

    it('refuses an option that it has not', () => {
      const context = seen(whole, false);
      const given = { name, strength: 2 };
      expect(() => buildNamed(augmentations, given, context, 'data.augmentation')).toThrow(
        /^data\.augmentation\.strength: unknown option/,
      );
    });
  },
);

describe('how images are read', () => {
  it('is said by options with ranges', () => {
    expect(() => withDefaults('data', imageOptions, { imageSize: 4 })).toThrow(
      /^data: imageSize: expected an integer of at least 8, got 4/,
    );
    expect(() => withDefaults('data', imageOptions, { onBadImage: 'skp' } as object)).toThrow(
      /onBadImage: expected one of fail, skip, got "skp" \(did you mean skip\?\)/,
    );
  });
});
