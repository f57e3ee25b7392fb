// Trains an embedding of one's own images and says how well images of classes it has never seen are found.
// node examples/dist/train-on-a-folder.js FOLDER RUN     (FOLDER: a subfolder of images for each class)
import { openFolder, trainEmbedding } from 'conquer';

const [folder = 'photos', run = 'runs/photos'] = process.argv.slice(2);

// Half of the classes train, the other half tests; see ClassSplit for other ways.
const dataset = await openFolder({ folder, split: { kind: 'halves' } });

const summary = await trainEmbedding({
  dataset,
  run,
  // For photographs: arch 'resnet50', weights 'imagenet', imageSize 224 and a learningRate of 1e-5.
  arch: 'small-resnet',
  imageSize: 32,
  learningRate: 1e-3,
  numLearners: 2,
  batchSize: 40,
  epochs: 8,
  observer: {
    onDivision: ({ sizes }) => console.log(`divided into ${sizes.join(' and ')} images`),
    onEpochEnd: ({ epoch, metrics }) =>
      console.log(`epoch ${epoch + 1}: R@1 ${metrics?.['R@1']?.toFixed(3)}`),
  },
});
console.log(JSON.stringify({ untrained: summary.untrained, best: summary.best?.metrics }));
