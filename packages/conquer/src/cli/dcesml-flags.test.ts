import { UserError } from '@conquer/run';
import { describe, expect, it } from 'vitest';
import { dcesmlFlags, dcesmlSwitches, translateDcesmlFlags } from './dcesml-flags.js';
import { isOptionName, resolveSettings } from './options.js';

/** What old arguments resolve to, as `conquer train` would. */
function settingsOf(args: string[]) {
  const { args: translated } = translateDcesmlFlags(args);
  const layer: Record<string, string> = {};
  for (let i = 0; i < translated.length; i++) {
    const [name = '', value] = (translated[i] ?? '').replace(/^--/, '').split('=');
    layer[name] = value ?? translated[++i] ?? '';
  }
  return resolveSettings(layer);
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
      expect(isOptionName(name), name).toBe(true);
    }
  });

  it("understand the sample command of the authors' README", () => {
    const settings = settingsOf(
      (
        '--experiment margin_loss_resnet50 --dataset=sop -i=mine -seed=4 --sz-embedding=512 --mod-epoch=2 --nb-clusters=32 ' +
        '--nb-epochs=180 --batch-size=80 --num-samples-per-class=2 --backend=faiss-gpu --lr-gamma=0.3 --mod-epoch-freeze=1 ' +
        '--sampler=distanceweighted --weight-decay=1e-4 --batch-sampler=adaptbalanced --force-full-embedding-epoch=80 ' +
        '--mask-lr-mult=100 --masking-lambda=0.01 --mask-wd-mult=1 --dataset-dir=data'
      ).split(' '),
    );
    expect(settings).toMatchObject({
      dataset: 'sop',
      name: 'mine',
      seed: 4,
      'embedding-dim': 512,
      'mod-epoch': 2,
      'num-learners': 32,
      epochs: 180,
      'batch-size': 80,
      'samples-per-class': 2,
      'mod-epoch-freeze': 1,
      miner: 'distance-weighted',
      'weight-decay': 1e-4,
      sampler: 'adaptive',
      'force-full-embedding-epoch': 80,
      'mask-lr-mult': 100,
      'mask-lambda': 0.01,
      'mask-wd-mult': 1,
      'dataset-dir': 'data',
    });
  });

  it.each([
    [['--sampler', 'easypeasy'], { miner: 'easy-positive' }],
    [['--sampler', 'class-balanced'], { sampler: 'class-balanced' }],
    [['--batch_sampler', 'randombatch'], { sampler: 'random' }],
    [['--fixed-mask=1'], { masks: 'fixed' }],
    [['--penultimate-for-clusters', '0'], { 'cluster-layer': 'final' }],
    [['--optimizer', 'AdamW'], { optimizer: 'adamw' }],
    [['--mask-relu=0'], { 'mask-relu': 'no' }],
    [['--mask-relu', 'yes'], { 'mask-relu': 'yes' }],
    [['--criterion=TripletLoss', '--soft-loss'], { loss: 'triplet', soft: 'yes' }],
    [['--num-workers', '4', '--verbose', '--lr', '0.5'], { lr: 0.5 }],
    [['-crs=7'], { 'cluster-seed': null }],
    [['--lr-step', 'inf'], { 'lr-step': 30 }],
    [['--clustering_method', 'kmeans_adaptive_centroids'], { clustering: 'adaptive-centroids' }],
    [['--wandb-enabled', '--epochs', '2'], { wandb: 'DivideAndConquer', epochs: 2 }],
    [['--arch', 'bn_inception'], { arch: 'bn-inception' }],
    [['--lr-beta', '0.1'], { 'loss-lr': 0.1, 'beta-per-class': 'yes' }],
    [['--init-method', 'pt_splitted'], { 'embedding-init': 'default', 'embedding-init-split': 'yes' }],
    [['--album', 'ColorHeavy'], { augmentation: 'color-heavy' }],
    [['--init-method', 'xavier_uniform_0.5'], { 'embedding-init-gain': 0.5, 'embedding-init-split': 'yes' }],
  ])('%j', (args, expected) => {
    expect(settingsOf(args)).toMatchObject(expected);
  });

  it('are told apart from those that this program has too', () => {
    const oldOf = (...args: string[]) => translateDcesmlFlags(args).old;
    expect(oldOf('--dataset', 'cub', '--mod_epoch=2', '--seed', '1', '--optimizer', 'adam')).toEqual([]);
    expect(oldOf('--arch', 'bn_inception', '--sampler', 'npairs', '--stop-recluster')).toEqual([]);
    expect(oldOf('-seed=4', '--nb_clusters', '2', '--sampler=HPHN')).toEqual([
      '-seed=4',
      '--nb_clusters',
      '--sampler=HPHN',
    ]);
  });

  it('with a wrong value are a mistake', () => {
    expect(() => translateDcesmlFlags(['--fixed-mask', '2'])).toThrow(
      /^--fixed-mask: expected 0 or 1 .* got '2'/,
    );
    expect(() => translateDcesmlFlags(['--checkpoint', 'x.pt'])).toThrow(/--resume RUN .* --weights FILE/);
    expect(() => translateDcesmlFlags(['--criterion', 'HingeLoss'])).toThrow(UserError);
    expect(() => translateDcesmlFlags(['--nb-epochs'])).toThrow('--nb-epochs: expected a value');
    expect(() => translateDcesmlFlags(['--init-method', 'zeros'])).toThrow(/--init-method: expected/);
  });
});
