// Trains an embedding of one's own images and says how well images of classes it has never seen are found.
// node examples/dist/train-on-a-folder.js photos runs/photos     (photos: a subfolder of images for each class)
import { train } from 'conquer-dml';

const [folder = 'photos', run = 'runs/photos'] = process.argv.slice(2);

const { untrained, best } = await train(
  {
    // Half of the classes train, the other half tests; `split` can be random, or a file that lists the training classes.
    data: { dataset: { name: 'folder', folder, split: 'half' }, imageSize: 32, batchSize: 40 },
    // For photographs: { backbone: { name: 'tf_efficientnet_lite0.in1k' }, weights: 'published' }, and an imageSize of 224.
    model: { backbone: { name: 'small-resnet' }, embeddingDim: 128 },
    divide: { numLearners: 2 },
    optimize: { learningRate: 1e-3 },
    train: { epochs: 8 },
  },
  {
    run,
    observer: {
      onDivision: ({ sizes }) => console.log(`divided into ${sizes.join(' and ')} images`),
      onEpochEnd: ({ epoch, metrics }) =>
        console.log(`epoch ${epoch + 1}: R@1 ${metrics?.['R@1']?.toFixed(3)}`),
    },
  },
);
console.log(JSON.stringify({ untrained, best: best?.metrics }));
