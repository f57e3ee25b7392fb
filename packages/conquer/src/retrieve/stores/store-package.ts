import { UserError } from '@conquer-dml/run';

/**
 * A package of a store, which is loaded when the store is named.
 * @param install what installs it
 * @throws UserError where it is not installed, or cannot be loaded here
 */
export async function storePackage<T>(store: string, install: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new UserError(`the store ${store} needs a package that cannot be loaded (${reason}): ${install}`);
  }
}
