import { Generator, liveTensors, rand, scope } from '@conquer/torch';
import { describe, expect, it } from 'vitest';
import { buildNamed } from '../named-part.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { augmentations } from './augmentations.js';
import { imageNetStatistics } from './normalize.js';
import { imageOptions, preprocessingOf, shortSideOf } from './preprocessing.js';

const reading = (whole: boolean, cache: boolean) => preprocessingOf({ size: 32, resize: 40, whole, cache });

describe.each(augmentations.map((one) => [one.name, one] as const))(
  'the augmentation %s',
  (name, { whole }) => {
    it.each([true, false])('makes batches of the size asked for (with a cache: %s)', (cache) => {
      const context = { ...reading(whole, cache), input: imageNetStatistics };
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
      const context = { ...reading(whole, true), input: imageNetStatistics };
      const { cropping } = buildNamed(augmentations, { name }, context, 'augmentation');
      // As a cache holds it.
      const image = whole ? { width: 40, height: 40 } : { width: 80, height: 40 };
      const widths = [1, 2, 3].map((seed) => cropping.draw(image, new Random(seed)).crop.width);
      if (whole) expect(widths).toEqual([40, 40, 40]);
      else expect(new Set(widths).size).toBeGreaterThan(1);
    });

    it('refuses an option that it has not', () => {
      const context = { ...reading(whole, false), input: imageNetStatistics };
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

  it('takes the share of the image that ImageNet is evaluated on, unless told otherwise', () => {
    expect([shortSideOf(null, 224), shortSideOf(null, 32), shortSideOf(64, 32)]).toEqual([256, 37, 64]);
  });

  it('reduces images to squares where they are kept and used whole', () => {
    expect(reading(true, true).reduction).toEqual({ size: 40, square: true });
    expect(reading(false, true).reduction).toEqual({ size: 40, square: false });
    expect(reading(true, false).reduction).toBe(null);
  });
});
