// What conquer exports, in a browser. It imports nothing: the runtime (onnxruntime-web) is handed to it.
export { BrowserModel, type OpenModelOptions, openModel, type Runtime } from './browser-model.js';
export type { ImageSource, Pixels } from './image-pixels.js';
export { type OpenIndexOptions, openIndex } from './open-index.js';
export type { OpenOptions, Source } from './read-bytes.js';
export { type Match, type SearchOptions, SmallIndex } from './small-index.js';
export { type Threshold, thresholdFor } from './threshold.js';
