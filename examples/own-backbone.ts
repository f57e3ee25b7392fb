// Trains a network of one's own: four convolutions. A backbone is a module with features(): images in, feature maps out.
// node examples/dist/own-backbone.js photos runs/own-backbone
import { nn, type Tensor } from '@conquer-dml/torch';
import { evaluateEmbeddings, type InputFormat, openFolder, openModel, train } from 'conquer-dml';

const layer = (from: number, to: number, stride: number): nn.Layer[] => [
  new nn.Conv2d(from, to, 3, { stride, padding: 1, bias: false }),
  new nn.BatchNorm2d(to),
  new nn.ReLU(),
];

class FourConvolutions extends nn.Module {
  // How its images have to come: (pixel / 255 - mean) / std, of each channel.
  readonly input: InputFormat = { size: 32, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  readonly layers = new nn.Sequential(
    ...layer(3, 32, 1),
    ...layer(32, 64, 2),
    ...layer(64, 128, 2),
    ...layer(128, 128, 1),
  );

  /** (B, 3, H, W) to (B, 128, H / 4, W / 4); tokens (B, N, C) or vectors (B, C) would do as well. */
  features(images: Tensor): Tensor {
    return this.layers.forward(images);
  }
}

const [folder = 'photos', run = 'runs/own-backbone'] = process.argv.slice(2);
await train(
  {
    data: { dataset: { name: 'folder', folder }, imageSize: 32, batchSize: 40 },
    model: { backbone: new FourConvolutions(), embeddingDim: 128 },
    divide: { numLearners: 2 },
    train: { epochs: 8 },
  },
  { run },
);

// A run keeps the weights of its network, not its code.
using model = await openModel(run, { backbone: new FourConvolutions(), checkpoint: 'last' });
const { train: images } = await openFolder({ folder });
const metrics = evaluateEmbeddings(await model.embed(images.paths), images.labels);
console.log(JSON.stringify({ ofTrainingClasses: metrics }));
