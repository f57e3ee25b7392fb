// Embeds a folder of images with a trained run, keeps the index, and finds what is most like an image.
// node examples/dist/embed-and-search.js RUN FOLDER IMAGE
import { existsSync } from 'node:fs';
import { ImageIndex, indexFolder, TrainedModel } from 'conquer';

const [run = 'runs/photos', folder = 'photos', image = 'photo.jpg'] = process.argv.slice(2);
const file = `${run}/example.index.safetensors`;

using model = TrainedModel.open(run);

// Images that are in the index already, and have not changed, are not embedded again.
using previous = existsSync(file) ? ImageIndex.open(file) : null;
const { index, embedded } = await indexFolder(model, folder, { previous, onWarning: console.error });
index.save(file);
console.log(`${index.count} images, ${embedded} of them embedded now`);

using query = await model.embed([image]); // (1, D), of length 1
for (const { path, distance } of index.search(query, 5)[0] ?? []) {
  console.log(`${distance.toFixed(3)}  ${path}`);
}
index.dispose();
