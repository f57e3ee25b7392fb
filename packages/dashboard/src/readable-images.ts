import { dirname } from 'node:path';
import { type RunFolder, readJson, settingsOf } from '@conquer-dml/run';
import { imageFolders, isWhole, liesInOneOf } from './thumbnails.js';

const MAX_CONFIG = 1 << 20;

/** Whether an image of an older run can be read; null where none of its images may be bad. */
export async function readabilityIn(folder: RunFolder): Promise<((path: string) => Promise<boolean>) | null> {
  const config = await readJson(folder.configFile, MAX_CONFIG).catch(() => null);
  const settings = settingsOf(config);
  if (settings?.['data.onBadImage'] !== 'skip') return null;
  const folders = await imageFolders(settings, dirname(folder.path), []);
  return async (path) => !(await liesInOneOf(path, folders)) || (await isWhole(path));
}
