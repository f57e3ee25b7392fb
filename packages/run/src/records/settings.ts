import { finite, isFields } from './fields.js';

/** Settings by their long option names, as the command line resolved them. */
export type Settings = Record<string, string | number | boolean | null>;

/** What config.json says, so far as it is settings. */
export interface SettingsRead {
  settings: Settings;
  /** The first value that is none, and its name; null: all are. */
  wrong: { name: string; value: unknown } | null;
}

/** @param value as JSON.parse gives it; null is returned for what is no object */
export function settingsOf(value: unknown): SettingsRead | null {
  if (!isFields(value)) return null;
  const isSetting = (setting: unknown) =>
    setting === null ||
    typeof setting === 'string' ||
    typeof setting === 'boolean' ||
    finite(setting) !== null;
  const entries = Object.entries(value);
  const [wrong] = entries.filter(([, setting]) => !isSetting(setting));
  return {
    settings: Object.fromEntries(entries.filter(([, setting]) => isSetting(setting))) as Settings,
    wrong: wrong === undefined ? null : { name: wrong[0], value: wrong[1] },
  };
}
