import { type ApiError, type DashboardEvent, EVENT_TYPES } from '../../src/api.js';
import { unpackMap } from '../../src/map-points.js';
import { Absent, type Source } from './source.js';

const get = async <T>(address: string): Promise<T> => (await (await answerOf(address)).json()) as T;

async function answerOf(address: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error('The dashboard does not answer: is it still running?');
  }
  if (answer.ok) return answer;
  const error = (await answer.json().catch(() => null)) as ApiError | null;
  if (error?.code === 'absent') throw new Absent(error.message);
  throw new Error(error?.message ?? `the dashboard answered with status ${answer.status}`);
}

export function serverSource(): Source {
  const of = (id: string) => `api/runs/${encodeURIComponent(id)}`;
  return {
    reportOf: null,
    runs: () => get('api/runs'),
    run: (id) => get(of(id)),
    masks: (id) => get(`${of(id)}/masks`),
    masksOf: (id, epoch) => get(`${of(id)}/masks/${epoch}`),
    embedding: (id) => get(`${of(id)}/embedding`),
    map: async (id, learner) =>
      unpackMap(await (await answerOf(`${of(id)}/map?learner=${learner}`)).arrayBuffer()),
    retrieval(id, query) {
      const given = Object.entries(query).filter(([, value]) => value !== undefined);
      return get(`${of(id)}/retrieval?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`);
    },
    neighbours: (id, query, learner, k) => get(`${of(id)}/neighbours/${query}?learner=${learner}&k=${k}`),
    classes: (id) => get(`${of(id)}/classes`),
    imageUrl: (src, size) => `${src}?size=${size}`,
    queryImage: (id, query, size) => `${of(id)}/images/query/${query}?size=${size}`,
    listen({ connected, lost, event }) {
      const events = new EventSource('api/events');
      events.onopen = connected;
      events.onerror = lost;
      for (const type of EVENT_TYPES) {
        events.addEventListener(type, ({ data }: MessageEvent<string>) =>
          event(JSON.parse(data) as DashboardEvent),
        );
      }
      return () => events.close();
    },
  };
}
