// Embeds a folder of images with a trained run, keeps the index, and finds what is most like an image.
// node examples/dist/embed-and-search.js runs/photos photos photo.png
import { existsSync } from 'node:fs';
import { ImageIndex, indexFolder, openModel } from 'conquer-dml';

const [run = 'runs/photos', folder = 'photos', image = 'photo.png'] = process.argv.slice(2);
const file = `${run}/example.index`;

using model = await openModel(run);

// Images that are in the index already, and have not changed, are not embedded again.
using previous = existsSync(file) ? ImageIndex.open(file) : null;
const { index, embedded } = await indexFolder(model, folder, { previous, onWarning: console.error });
index.save(file);
console.log(`${index.count} images, ${embedded} of them embedded now`);

const query = await model.embed([image]); // model.dim numbers; the bytes of an upload would do as well
for (const { path, similarity } of index.search(query, 5, { embedder: model })[0] ?? []) {
  console.log(`${similarity.toFixed(3)}  ${path}`);
}
index.dispose();
