import type { CommandFile } from './command.js';

/** The commands, in the order of the help. One is imported when it is asked for: none has to wait for the others. */
export const commands: Record<string, () => Promise<CommandFile>> = {
  train: () => import('./train.js'),
  fit: () => import('./fit.js'),
  demo: () => import('./demo.js'),
  eval: () => import('./eval.js'),
  compare: () => import('./compare.js'),
  runs: () => import('./runs.js'),
  map: () => import('./map.js'),
  dashboard: () => import('./dashboard.js'),
  report: () => import('./report.js'),
  models: () => import('./models.js'),
  embed: () => import('./embed.js'),
  index: () => import('./index-images.js'),
  search: () => import('./search.js'),
  calibrate: () => import('./calibrate.js'),
  items: () => import('./items.js'),
  audit: () => import('./audit.js'),
  duplicates: () => import('./duplicates.js'),
  group: () => import('./group.js'),
  export: () => import('./export.js'),
  serve: () => import('./serve.js'),
  sync: () => import('./sync.js'),
  build: () => import('./build.js'),
  doctor: () => import('./doctor.js'),
  completion: () => import('./completion.js'),
};
