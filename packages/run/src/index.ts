// What a run and an index of images are on the disk, for whoever writes and reads them.

export { builtModule } from './built-module.js';
export { commonFolder } from './common-folder.js';
export { counted } from './counted.js';
export { GrowingLines } from './disk/growing-lines.js';
export { DamagedFile, fileVersion, openRegularFile, readJson } from './disk/regular-file.js';
export { sha256OfFile } from './disk/sha256.js';
export { writeFileAtomic, writeProblem } from './disk/write.js';
export { type EmbeddedSet, type EmbeddingsRead, readEmbeddings } from './embeddings/embeddings-file.js';
export { fingerprintOf, MAP_FORMAT, type MapRead, readMap } from './embeddings/map-file.js';
export { withoutStandIns } from './embeddings/stand-ins.js';
export { isSystemError, UserError } from './error.js';
export { earlierDialect, experimentOf } from './experiment/read-experiment.js';
export {
  EXPERIMENT_FORMAT,
  listValues,
  type StoredExperiment,
  toStore,
  valueAt,
} from './experiment/stored-experiment.js';
export { boxOfImage, fileOfImage, partOfImage } from './image-box.js';
export {
  type EarlierContents,
  type IndexFields,
  type IndexPlace,
  indexContents,
  indexTexts,
} from './image-index/earlier-index.js';
export {
  areCopies,
  type EqualRows,
  type GraphCopies,
  readCopies,
  writeCopies,
} from './image-index/graph-copies.js';
export { type GraphRecord, graphOf } from './image-index/graph-record.js';
export {
  givenFolder,
  type IndexContents,
  type IndexOrigin,
  isIndexOf,
  sampled,
  whatWouldBeLost,
} from './image-index/index-contents.js';
export { IndexFolder } from './image-index/index-folder.js';
export {
  type FileStamp,
  type IndexedImage,
  type IndexItem,
  indexItem,
  itemLine,
  itemOfLine,
  type NewIndexItem,
  NO_FILE,
} from './image-index/index-item.js';
export { INDEX_FORMAT, type IndexManifest, type SegmentRecord } from './image-index/index-manifest.js';
export { originAt, storedOrigin } from './image-index/index-place.js';
export { ItemList, type ItemTable } from './image-index/item-table.js';
export {
  type IndexedPreprocessing,
  isSeenAlike,
  type PixelFormat,
  type Preprocessing,
  resizesWhole,
} from './image-index/preprocessing.js';
export { SegmentFile } from './image-index/segment-file.js';
export { StoredItems, writeItems } from './image-index/stored-items.js';
export type { Json } from './json.js';
export {
  type BestEpoch,
  bestEpoch,
  type ChosenEpoch,
  choosingMetricOf,
  scoreOf,
} from './records/best-epoch.js';
export { type Calibration, calibrationOf, type MatchThreshold } from './records/calibration.js';
export { datasetDifferences } from './records/dataset-differences.js';
export { type DatasetRecord, recordOfSplits, type SplitRecord } from './records/dataset-record.js';
export { type Division, type DivisionView, divisionOf } from './records/division.js';
export { type EpochRecord, epochRecordOf } from './records/epoch.js';
export { type MaskRecord, maskRecordOf } from './records/masks.js';
export type { Metrics } from './records/metrics.js';
export {
  type EpochPart,
  type EpochProfile,
  epochParts,
  type StepPart,
  stepParts,
} from './records/profile.js';
export { imageFolderOf, type Settings, settingsOf } from './records/settings.js';
export { type StepRecord, stepRecordOf } from './records/step.js';
export { type Summary, summaryOf } from './records/summary.js';
export { type ImageList, readTestImages, type TestImages, testImagesOf } from './records/test-images.js';
export { RunFiles } from './run-files.js';
export { RunFolder } from './run-folder.js';
export { lockHolder, type RunningProcess, takeLock } from './run-lock.js';
export { StepLog } from './step-log.js';
export { didYouMean } from './suggest.js';
