import { posix, win32 } from 'node:path';

/** The folders in front of a name: of an absolute path, or one that begins in a home or above the working folder. */
const FOLDERS =
  /(^|[\s"'`(=,;:[])((?:file:\/\/)?(?:[A-Za-z]:)?(?:~|\.\.)?[\\/](?:[^\s"'`),;\]\\/]+[\\/])*)(?=[^\s"'`),;\]\\/])/g;

/**
 * A text that names no folder of the machine it comes from, as those hold names of users and of what they do: of a path the
 * last part stays. Addresses (https://…) and relative paths stay.
 */
export function withoutFolders(text: string): string {
  const { base } = posix.parse(text.replaceAll('\\', '/'));
  const isPath = posix.isAbsolute(text) || win32.isAbsolute(text) || /^(~|\.\.)[^\\/]*[\\/]/.test(text);
  if (isPath) return base === '' ? text : `…/${base}`;
  return text.replaceAll(FOLDERS, (all, before: string, folders: string) =>
    // The slashes of an address.
    before === ':' && folders.startsWith('//') ? all : `${before}…/`,
  );
}
