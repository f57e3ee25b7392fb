/**
 * A module beside another, for a thread of its own to run: that is JavaScript. Of sources that run as they are, as in
 * tests, it is the one that was built of them.
 *
 * @param specifier from the folder of the module that asks, as `./training-thread.js`
 * @param from its `import.meta.url`
 */
export function builtModule(specifier: string, from: string): URL {
  const url = new URL(specifier, from);
  if (from.endsWith('.ts')) url.pathname = url.pathname.replace(/(.*)\/src\//, '$1/dist/');
  return url;
}
