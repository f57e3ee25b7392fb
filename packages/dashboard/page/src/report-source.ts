import { REPORT_ELEMENT, type ReportData, type RetrievalItem, type RunReport } from '../../src/api.js';
import { unpackMap } from '../../src/map-points.js';
import { Absent, type Source } from './source.js';

/** The report that the document holds; null if it holds none, so that there is a server. */
export function reportSource(document: Document): Source | null {
  const text = document.getElementById(REPORT_ELEMENT)?.textContent;
  return text ? sourceOf(JSON.parse(text) as ReportData) : null;
}

const present = <T>(value: T | null | undefined, what: string): T => {
  if (value === null || value === undefined) throw new Absent(`This report holds no ${what}.`);
  return value;
};

function sourceOf({ created, differing, runs, images }: ReportData): Source {
  const places = new Map(runs.map(({ run }, place) => [run.id, place]));
  const items = runs.map(
    ({ retrieval }) => new Map(retrieval.items.map((item) => [item.query.index, item] as const)),
  );
  const of = (id: string): RunReport => present(runs[places.get(id) ?? -1], `run of the name ${id}`);
  const itemsOf = (id: string) => present(items[places.get(id) ?? -1], `run of the name ${id}`);
  const cut = (item: RetrievalItem, k: number) => ({ ...item, neighbours: item.neighbours.slice(0, k) });
  return {
    reportOf: created,
    runs: async () => ({ runsDir: '', runs: runs.map(({ run }) => run), differing }),
    run: async (id) => of(id).run,
    masks: async (id) => {
      const { masks } = of(id);
      return {
        epochs: present(masks.length > 0 ? masks : null, 'masks').map(({ epoch, masks, similarity }) => ({
          epoch,
          numLearners: masks.length,
          dim: masks[0]?.length ?? 0,
          meanSimilarity: meanOfPairs(similarity),
          active: mean(masks.map((mask) => mean(mask.map((value) => Number(value > 0))))),
        })),
      };
    },
    masksOf: async (id, epoch) =>
      present(
        of(id).masks.find((some) => some.epoch === epoch),
        'masks of this epoch',
      ),
    embedding: async (id) => present(of(id).embedding, 'embedding'),
    map: async (id, learner) => {
      const { packed } = present(
        of(id).maps.find((map) => map.learner === learner),
        learner === 'full'
          ? 'map: the run kept none (conquer map)'
          : 'map of this learner: the run kept none (conquer map)',
      );
      return unpackMap(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
    },
    async retrieval(id, { order = 'worst', label, k = 10, offset = 0, limit = 20 }) {
      const { embedding, retrieval } = of(id);
      const { version } = present(embedding, 'retrievals');
      const held = itemsOf(id);
      const queries = order === 'index' ? [...held.keys()] : retrieval[order];
      const all = queries.flatMap((query) => held.get(query) ?? []);
      const found = label === undefined ? all : all.filter(({ query }) => query.label === label);
      const page = found.slice(offset, offset + limit).map((item) => cut(item, k));
      return { version, total: found.length, offset, items: page };
    },
    async neighbours(id, query, learner, k) {
      if (learner !== 'full')
        throw new Absent('This report holds no neighbours for one learner: conquer dashboard finds them.');
      return cut(
        present(itemsOf(id).get(query), 'neighbours of this image: it holds some of many queries'),
        k,
      );
    },
    classes: async (id) => present(of(id).classes, 'classes'),
    imageUrl: (src) => images[src] ?? null,
    queryImage: (id, query) => images[`${places.get(id)}/query/${query}`] ?? null,
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
