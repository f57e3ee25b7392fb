import { UserError } from '@conquer-dml/run';
import type { StoreKind, VectorStore } from './vector-store.js';

/** A kind whose stores are guarded. */
export const guardedKind = (kind: StoreKind): StoreKind => ({
  ...kind,
  open: async (place, mode) => guardedStore(await kind.open(place, mode)),
});

/**
 * A store whose own errors (a damaged file, no permission, a server that is gone) are told in a line, with its name. Mistakes of this
 * program stay what they are.
 */
function guardedStore(store: VectorStore): VectorStore {
  return new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      if (key === 'items') return () => guardedItems(target);
      return async (...args: unknown[]) => {
        try {
          return await Reflect.apply(value, target, args);
        } catch (error) {
          throw told(target, error);
        }
      };
    },
  });
}

async function* guardedItems(store: VectorStore) {
  try {
    yield* store.items();
  } catch (error) {
    throw told(store, error);
  }
}

function told({ name }: VectorStore, error: unknown): unknown {
  const isOwn = error instanceof UserError || error instanceof TypeError || error instanceof RangeError;
  if (isOwn || !(error instanceof Error)) return error;
  // What a library says may go on for lines, with places in its sources.
  const [line = ''] = error.message.split('\n');
  return new UserError(`${name}: ${line.replace(/,? *\/?[\w/.-]*\.rs(:\d+)*.*$/, '')}`, { cause: error });
}
