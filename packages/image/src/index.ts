export { SetupError } from '@conquer-dml/native/setup-error';
export type { DecodeOptions } from './bounded.js';
export { buildBinding, findBindings } from './build.js';
export type { Crop } from './crop.js';
export { type DecodeRequest, decodeImages } from './decode.js';
export { ImageError } from './error.js';
export { fileIds } from './file-ids.js';
export { type FilePart, filePartPath, partOfFile } from './file-part.js';
export { boxOfImage, fileOfImage, fragmentOfImage, imageBoxPath, withoutBox } from './image-box.js';
export { ImageFiles } from './image-files.js';
export type { ImageInput, RawPixels } from './image-input.js';
export { ImagePack } from './image-pack.js';
export type { ImageSet, SetRequest } from './image-set.js';
export { imageLibraries } from './libraries.js';
export { type PackOptions, type PackProgress, packImages } from './pack.js';
export {
  compressors,
  ParquetImages,
  type ParquetRow,
  parquetFile,
  parquetRowOf,
  parquetRowPath,
} from './parquet-images.js';
export { type ImageSize, imageSize, imageSizes, pixelLimit } from './pixels.js';
export { ReducedImages } from './reduced-images.js';
export type { Reduction } from './reduction.js';
export type { ImageRequest, ResizeFilter } from './request.js';
export { type Drawing, type RenderOptions, renderSvg, renderSvgs } from './svg.js';
export { type WarpRequest, warpImages } from './warp.js';
