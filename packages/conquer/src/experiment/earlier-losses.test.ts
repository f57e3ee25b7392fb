import { readFileSync } from 'node:fs';
import { experimentOf } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { losses } from '../losses/losses.js';
import { miners } from '../miners/miners.js';
import { resolveExperiment } from './resolve.js';

const file = new URL('../../test/fixtures/runs/margin/config.json', import.meta.url);
const stored = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;

describe('settings of an earlier command line', () => {
  it.each(losses.flatMap((loss) => miners.map((miner) => [loss.name, miner.name] as const)))(
    'with the loss %s and the miner %s are an experiment',
    (loss, miner) => {
      const old = { ...stored, loss, miner, margin: 0.3, beta: 1.1, 'miner-cutoff': 0.4 };
      const experiment = resolveExperiment(experimentOf(old, 'config.json'));
      expect(experiment).toMatchObject({ loss: { name: loss }, miner: { name: miner } });
      if (miner.endsWith('-semihard')) expect(experiment.miner).toMatchObject({ margin: 0.3 });
      if (miner === 'easy-positive') expect(experiment.miner).toMatchObject({ cutoff: 0.4 });
      // Such a run shifted the cutoff of every loss; the margin loss says its own.
      if (miner === 'distance-weighted')
        expect(experiment.miner).toMatchObject({
          cutoff: 0.4,
          nonZeroLossCutoff: loss === 'margin' ? null : 1.1 + 0.3,
        });
    },
  );
});
