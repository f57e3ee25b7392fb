import { scope } from '@conquer-dml/torch';
import { PreparedGallery } from '../../packages/conquer/dist/index.js';
import { median } from '../sides.mjs';
import { readEmbeddings } from './embeddings.mjs';
import { serve, sideArguments } from './side.mjs';

// Each run: our search and, by turns with it, what a search is at least: the matrix product and the selection of its largest,
// neither exact nor with ties in order.

const { data, queries, k, turns } = sideArguments();
const gallery = readEmbeddings(data);
const [some, wanted] = [Number(queries), Number(k)];
const query = gallery
  .narrow(0, 0, some)
  .mul(0.9)
  .add(gallery.narrow(0, 5000, some).mul(0.1))
  .contiguous();
const transposed = gallery.t();
const prepared = new PreparedGallery(gallery);

await serve(
  () => {
    const times = { ours: [], bare: [] };
    let nearest = [];
    const timed = (into, work) => {
      const start = performance.now();
      scope(work);
      into.push((performance.now() - start) / 1000);
    };
    for (let turn = 0; turn < Number(turns); turn++) {
      timed(times.ours, () => {
        nearest = prepared.nearest(query, wanted).indices;
      });
      timed(times.bare, () => query.matmul(transposed).topk(wanted));
    }
    const seconds = median(times.ours);
    const check = [...nearest].reduce((sum, index) => sum + index, 0);
    return { seconds, overBare: seconds / median(times.bare), check };
  },
  { threads: 1 },
);
