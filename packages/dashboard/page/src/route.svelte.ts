export const VIEWS = [
  { id: 'runs', name: 'Runs' },
  { id: 'curves', name: 'Curves' },
  { id: 'division', name: 'Division' },
  { id: 'map', name: 'Embedding map' },
  { id: 'retrieval', name: 'Retrieval' },
] as const;

export type ViewId = (typeof VIEWS)[number]['id'];

/** The address of a view with its chosen runs. */
export function href(view: ViewId, runs: readonly string[]): string {
  const query = new URLSearchParams(runs.map((run) => ['run', run]));
  return `#/${view}${runs.length > 0 ? `?${query}` : ''}`;
}

export function parse(hash: string): { view: ViewId; runs: string[] } {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const view = VIEWS.find(({ id }) => id === path)?.id ?? 'runs';
  return { view, runs: [...new Set(new URLSearchParams(query).getAll('run'))] };
}

/** What the address bar says: a view and the chosen runs, so that a link brings another to the same. */
export class Route {
  view = $state<ViewId>('runs');
  runs = $state.raw<string[]>([]);

  start(): () => void {
    const read = () => Object.assign(this, parse(location.hash));
    read();
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }

  /** Chooses other runs, without a step in the browser's history. */
  choose(runs: string[]): void {
    this.runs = runs;
    history.replaceState(null, '', href(this.view, runs));
  }
}
