import { REPORT_ELEMENT, type ReportData, type RetrievalItem } from '../../src/api.js';
import { Absent, type Source } from './source.js';

/** The report that the document holds; null if it holds none, so that there is a server. */
export function reportSource(document: Document): Source | null {
  const text = document.getElementById(REPORT_ELEMENT)?.textContent;
  return text ? sourceOf(JSON.parse(text) as ReportData) : null;
}

function sourceOf(data: ReportData): Source {
  const { run, masks, embedding, maps, classes, retrieval, images } = data;
  const items = new Map(retrieval.items.map((item) => [item.query.index, item]));
  const present = <T>(value: T | null | undefined, what: string): T => {
    if (value === null || value === undefined) throw new Absent(`This report holds no ${what}.`);
    return value;
  };
  const cut = (item: RetrievalItem, k: number) => ({ ...item, neighbours: item.neighbours.slice(0, k) });
  return {
    reportOf: data.created,
    runs: async () => ({ runsDir: '', runs: [run], differing: [] }),
    run: async () => run,
    masks: async () => ({
      epochs: present(masks.length > 0 ? masks : null, 'masks').map(({ epoch, masks, similarity }) => ({
        epoch,
        numLearners: masks.length,
        dim: masks[0]?.length ?? 0,
        meanSimilarity: meanOfPairs(similarity),
        active: mean(masks.map((mask) => mean(mask.map((value) => Number(value > 0))))),
      })),
    }),
    masksOf: async (_, epoch) =>
      present(
        masks.find((some) => some.epoch === epoch),
        'masks of this epoch',
      ),
    embedding: async () => present(embedding, 'embedding'),
    map: async (_, learner) =>
      present(
        maps.find((map) => map.learner === learner),
        learner === 'full' ? 'map' : 'map of this learner: conquer dashboard lays it out',
      ),
    async retrieval(_, { order = 'worst', label, k = 10, offset = 0, limit = 20 }) {
      const { version } = present(embedding, 'retrievals');
      const queries = order === 'index' ? [...items.keys()] : retrieval[order];
      const all = queries.flatMap((query) => items.get(query) ?? []);
      const found = label === undefined ? all : all.filter(({ query }) => query.label === label);
      const page = found.slice(offset, offset + limit).map((item) => cut(item, k));
      return { version, total: found.length, offset, items: page };
    },
    async neighbours(_, query, learner, k) {
      if (learner !== 'full')
        throw new Absent('This report holds no neighbours for one learner: conquer dashboard finds them.');
      return cut(present(items.get(query), 'neighbours of this image: it holds some of many queries'), k);
    },
    classes: async () => present(classes, 'classes'),
    imageUrl: (src) => images[src] ?? null,
    queryImage: (_, query) => images[`query/${query}`] ?? null,
    listen({ connected }) {
      connected();
      return () => {};
    },
  };
}

const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

function meanOfPairs(similarity: number[][]): number | null {
  const pairs = similarity.flatMap((row, i) => row.slice(i + 1));
  return pairs.length > 0 ? mean(pairs) : null;
}
