import { experimentOf } from '../experiment/read-experiment.js';
import { listValues } from '../experiment/stored-experiment.js';
import { isFields } from './fields.js';

/** What a run's experiment says, by paths such as `train.epochs`: for whoever shows or compares it. */
export type Settings = Record<string, string | number | boolean | null>;

/** The settings of a config.json; null for what is none. @param value as JSON.parse gives it */
export function settingsOf(value: unknown): Settings | null {
  if (!isFields(value)) return null;
  try {
    return listValues(experimentOf(value, 'config.json'));
  } catch {
    return null;
  }
}

/** Where the images of a run's data set lie, or a file that lists them; null where it does not say. */
export function imageFolderOf(settings: Settings): string | null {
  const place = settings['data.dataset.folder'] ?? settings['data.dataset.file'];
  return typeof place === 'string' && place !== '' ? place : null;
}
