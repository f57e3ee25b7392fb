// Decisions by an index that is calibrated: what an image is surely like, if anything, and of which class it is.
// node examples/dist/decide.js photos.index photo.png 0.1
import { readFile } from 'node:fs/promises';
import { openIndex } from 'conquer-dml';

const [file = 'photos.index', image = 'photo.png', rate = '0.1'] = process.argv.slice(2);
using photos = await openIndex(file); // the index and the model that made it
const bytes = await readFile(image); // of an upload, say
const all = await photos.search(bytes, { k: 3 });
const sure = await photos.search(bytes, { k: 3, maxFalseMatch: Number(rate) }); // [] is an answer
for (const { id, probability = 0 } of all)
  console.log(
    `${sure.some((match) => match.id === id) ? 'accepted' : 'rejected'}  ${probability.toFixed(3)}  ${id}`,
  );
const { label, confidence } = await photos.classify(bytes);
console.log(`class ${label}, ${Math.round(100 * confidence)} % of its neighbours' votes`);
