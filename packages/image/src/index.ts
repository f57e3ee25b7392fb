export { type Crop, type DecodeOptions, type DecodeRequest, decodeImages } from './decode.js';
export { ImageError } from './error.js';
export { type PackedImages, type PackOptions, type PackProgress, packImages } from './pack.js';
export { type ImageSize, imageSize } from './pixels.js';
export { type Drawing, type RenderOptions, renderSvg, renderSvgs } from './svg.js';
