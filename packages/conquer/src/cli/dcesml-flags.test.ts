import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { builtInParts, type Experiment } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { dcesmlFlags, dcesmlSwitches, translateDcesmlFlags } from './dcesml-flags.js';
import { fillExperiment } from './fill.js';
import { flagsOf } from './flags.js';

const flags = flagsOf(builtInParts);
/** Where a run goes is no flag of the experiment. */
const places = ['name', 'runs-dir'];

/** What old arguments resolve to, as `conquer train` would, and what they say of where the run goes. */
function experimentOf(args: string[]): Experiment & { name?: string } {
  const { args: translated } = translateDcesmlFlags(args, flags);
  const given: Record<string, string> = {};
  for (let i = 0; i < translated.length; i++) {
    const [name = '', value] = (translated[i] ?? '').replace(/^--/, '').split('=');
    given[name] = value ?? translated[++i] ?? '';
  }
  const { name, ...others } = given;
  const experiment = resolveExperiment(fillExperiment({}, others, flags, () => {}));
  return { ...experiment, ...(name !== undefined && { name }) };
}

describe('old flags', () => {
  it('all lead to settings that exist', () => {
    const samples: Record<string, string> = {
      criterion: 'MarginLoss',
      optimizer: 'Adam',
      'batch-sampler': 'npairs',
      'hierarchy-method': 'none',
      'masks-normalize-before-sum': 'l1',
      'init-method': 'xavier_normal_1',
      album: 'Geom',
    };
    const pairs = Object.entries(dcesmlFlags)
      .filter(([name]) => name !== 'checkpoint')
      .flatMap(([name, meaning]) => meaning(samples[name] ?? '1'));
    for (const [name] of [...pairs, ...Object.values(dcesmlSwitches).flat()]) {
      expect([...flags.map((flag) => flag.name), ...places]).toContain(name);
    }
  });

  it("understand the sample command of the authors' README", () => {
    const experiment = experimentOf(
      (
        '--experiment margin_loss_resnet50 --dataset=sop -i=mine -seed=4 --sz-embedding=512 --mod-epoch=2 --nb-clusters=32 ' +
        '--nb-epochs=180 --batch-size=80 --num-samples-per-class=2 --backend=faiss-gpu --lr-gamma=0.3 --mod-epoch-freeze=1 ' +
        '--sampler=distanceweighted --weight-decay=1e-4 --batch-sampler=adaptbalanced --force-full-embedding-epoch=80 ' +
        '--mask-lr-mult=100 --masking-lambda=0.01 --mask-wd-mult=1 --dataset-dir=data'
      ).split(' '),
    );
    expect(experiment).toMatchObject({
      name: 'mine',
      data: {
        dataset: { name: 'sop', folder: 'data' },
        batchSize: 80,
        samplesPerClass: 2,
        sampler: { name: 'adaptive' },
      },
      model: { embeddingDim: 512 },
      miner: { name: 'distance-weighted' },
      divide: {
        numLearners: 32,
        modEpoch: 2,
        modEpochFreeze: 1,
        forceFullEmbeddingEpoch: 80,
        maskLambda: 0.01,
      },
      optimize: { weightDecay: 1e-4, maskLearningRateMultiplier: 100, maskWeightDecayMultiplier: 1 },
      train: { epochs: 180, seed: 4 },
    });
  });

  it.each([
    [['--sampler', 'easypeasy'], { miner: { name: 'easy-positive' } }],
    [['--sampler', 'class-balanced'], { data: { sampler: { name: 'class-balanced' } } }],
    [['--batch_sampler', 'randombatch'], { data: { sampler: { name: 'random' } } }],
    [['--fixed-mask=1'], { model: { masks: { kind: 'fixed' } } }],
    [['--penultimate-for-clusters', '0'], { divide: { clusterLayer: 'final' } }],
    [['--optimizer', 'AdamW'], { optimize: { optimizer: { name: 'adamw' } } }],
    [['--mask-relu=0'], { model: { masks: { relu: false } } }],
    [['--mask-relu', 'yes'], { model: { masks: { relu: true } } }],
    [['--criterion=TripletLoss', '--soft-loss'], { loss: { name: 'triplet', soft: true } }],
    [['--num-workers', '4', '--verbose', '--lr', '0.5'], { optimize: { learningRate: 0.5 } }],
    [['-crs=7'], { divide: { clusterSeed: null } }],
    [['--lr-step', 'inf'], { optimize: { schedule: { name: 'constant' } } }],
    [['--clustering_method', 'kmeans_adaptive_centroids'], { divide: { clustering: 'adaptive-centroids' } }],
    [
      ['--wandb-enabled', '--epochs', '2'],
      { track: [{ name: 'wandb', project: 'DivideAndConquer' }], train: { epochs: 2 } },
    ],
    [['--arch', 'bn_inception'], { model: { backbone: { name: 'bn-inception' } } }],
    [['--lr-beta', '0.1'], { optimize: { lossLearningRate: 0.1 }, loss: { betaPerClass: true } }],
    [['--init-method', 'pt_splitted'], { model: { embeddingInit: { kind: 'default', split: true } } }],
    [['--album', 'ColorHeavy'], { data: { augmentation: { name: 'color-heavy' } } }],
    [['--init-method', 'xavier_uniform_0.5'], { model: { embeddingInit: { gain: 0.5, split: true } } }],
  ])('%j', (args, expected) => {
    expect(experimentOf(args)).toMatchObject(expected);
  });

  it('are told apart from those that this program has too', () => {
    const oldOf = (...args: string[]) => translateDcesmlFlags(args, flags).old;
    expect(oldOf('--dataset', 'cub', '--mod_epoch=2', '--seed', '1', '--optimizer', 'adam')).toEqual([]);
    expect(oldOf('--arch', 'bn_inception', '--sampler', 'npairs', '--stop-recluster')).toEqual([]);
    expect(oldOf('-seed=4', '--nb_clusters', '2', '--sampler=HPHN')).toEqual([
      '-seed=4',
      '--nb_clusters',
      '--sampler=HPHN',
    ]);
  });

  it('with a wrong value are a mistake', () => {
    expect(() => translateDcesmlFlags(['--fixed-mask', '2'], flags)).toThrow(
      /^--fixed-mask: expected 0 or 1 .* got '2'/,
    );
    expect(() => translateDcesmlFlags(['--checkpoint', 'x.pt'], flags)).toThrow(
      /--resume RUN .* --weights FILE/,
    );
    expect(() => translateDcesmlFlags(['--criterion', 'HingeLoss'], flags)).toThrow(UserError);
    expect(() => translateDcesmlFlags(['--nb-epochs'], flags)).toThrow('--nb-epochs: expected a value');
    expect(() => translateDcesmlFlags(['--init-method', 'zeros'], flags)).toThrow(/--init-method: expected/);
  });
});
