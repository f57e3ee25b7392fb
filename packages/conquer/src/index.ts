// The library. Everything the command line does is made of these parts.

export { ImageError, type ImageInput, type RawPixels } from '@conquer-dml/image';
export {
  type Calibration,
  type Division,
  type EpochRecord,
  type FileStamp,
  type IndexedImage,
  type IndexItem,
  type IndexOrigin,
  type Json,
  type MatchThreshold,
  type Metrics,
  type NewIndexItem,
  type PixelFormat,
  type Preprocessing,
  RunFolder,
  type Summary,
  UserError,
} from '@conquer-dml/run';
export { type AuditOptions, type AuditReport, audit } from './audit/audit.js';
export { type AuditFilesOptions, writeAudit } from './audit/audit-files.js';
export { type AuditedImages, auditedDataset, auditedFolder } from './audit/audited-images.js';
export type { Finding, FindingKind } from './audit/finding.js';
export type { Shortcuts } from './audit/shortcuts.js';
export type { BatchImages } from './batch-images.js';
export { type KMeansOptions, type KMeansResult, kMeans } from './clustering/kmeans.js';
export { Affine, type AffineOptions } from './data/affine.js';
export { AffineCrop, type AffineCropOptions } from './data/affine-crop.js';
export type { AffineRanges } from './data/affine-matrix.js';
export type { AugmentationContext, AugmentationPart } from './data/augmentation.js';
export { type AugmentationFamily, augmentationFamily } from './data/augmentation-families.js';
export type { BatchTransform } from './data/batch-transform.js';
export { CenterCrop } from './data/center-crop.js';
export { ColorJitter } from './data/color-jitter.js';
export { Compose } from './data/compose.js';
export { CropSource, type CropSourceOptions } from './data/crop-source.js';
export { type ImageDataOptions, imageData } from './data/image-data.js';
export type { ImageSource } from './data/image-source.js';
export { InOrderBatches } from './data/in-order.js';
export { type Batch, Loader, type LoaderOptions } from './data/loader.js';
export { Normalize } from './data/normalize.js';
export { RandAugment } from './data/rand-augment.js';
export { RandomErasing } from './data/random-erasing.js';
export { RandomResizedCrop } from './data/random-resized-crop.js';
export type { TrainingData } from './data/training-data.js';
export { evaluationView, trainingView, type View } from './data/view.js';
export { withAllClasses } from './datasets/all-classes.js';
export { openCars } from './datasets/cars.js';
export type { ClassSplit } from './datasets/class-split.js';
export { type CsvOptions, openCsv } from './datasets/csv.js';
export { openCub } from './datasets/cub.js';
export type { Dataset, DatasetContext, DatasetPart, Split } from './datasets/dataset.js';
export type { DistributionOptions } from './datasets/distribution.js';
export { type EmojiOptions, openEmoji } from './datasets/emoji.js';
export { type FolderOptions, openFolder } from './datasets/folder.js';
export { openInshop } from './datasets/inshop.js';
export { openMarket1501 } from './datasets/market-1501.js';
export { openMsmt17 } from './datasets/msmt17.js';
export { type DatasetName, datasetNames, type OpenDatasetOptions, openDataset } from './datasets/open.js';
export { openPairs, type PairsOptions } from './datasets/pairs.js';
export { openSop } from './datasets/sop.js';
export { openVehicleId } from './datasets/vehicle-id.js';
export { openVeri } from './datasets/veri.js';
export { type DivideOptions, divide, undivided } from './divide/division.js';
export { interleaveLearners, type LearnerBatches } from './divide/interleave.js';
export { reassignClusters } from './divide/reassign.js';
export { DivisionSchedule, type ScheduleOptions } from './divide/schedule.js';
export { type CalibrateOptions, calibrate, matchProbability, thresholdFor } from './evaluate/calibrate.js';
export { calibratePairs } from './evaluate/calibrate-pairs.js';
export { type ClassDistances, classDistances } from './evaluate/class-distances.js';
export { countRelevant } from './evaluate/count-relevant.js';
export { embedImages } from './evaluate/embed.js';
export { type EvaluateOptions, evaluateEmbeddings } from './evaluate/evaluate.js';
export { type EvaluateModelOptions, evaluateModel, type ModelEvaluation } from './evaluate/evaluate-model.js';
export { type EvaluatePairsOptions, evaluatePairs } from './evaluate/evaluate-pairs.js';
export { type GroupMeans, groupMeans } from './evaluate/group-means.js';
export { ListedDistances, type RocPoint } from './evaluate/listed-distances.js';
export { type McNemar, mcnemar } from './evaluate/mcnemar.js';
export { type MeanAveragePrecisionOptions, meanAveragePrecision } from './evaluate/mean-average-precision.js';
export type { DistancesOfPairs, PairSummary } from './evaluate/metric.js';
export { normalizedMutualInformation } from './evaluate/nmi.js';
export { type OpenSet, openSet } from './evaluate/open-set.js';
export { PairDistances } from './evaluate/pair-distances.js';
export { pairF1 } from './evaluate/pair-f1.js';
export { type SpectralDecayOptions, singularValues, spectralDecay } from './evaluate/spectral-decay.js';
export { standardErrorOverClasses } from './evaluate/standard-error.js';
export {
  builtInParts,
  type Experiment,
  type ExperimentInput,
  experimentSchema,
  type Parts,
} from './experiment/experiment.js';
export { mergeExperiments } from './experiment/merge.js';
export type { ExperimentWithOwnParts } from './experiment/own-parts.js';
export { withPlugins } from './experiment/plugin.js';
export { type Published, type Recipe, readRecipe, recipeNames } from './experiment/recipe.js';
export { resolveExperiment } from './experiment/resolve.js';
export { type ExportedIndex, exportIndex } from './export/export-index.js';
export { type ExportedModel, type ExportOnnxOptions, exportOnnx } from './export/export-onnx.js';
export {
  type ExportedWeights,
  type ExportSafetensorsOptions,
  exportSafetensors,
} from './export/export-safetensors.js';
export { type FitObserver, type FitOptions, type FitRequest, fit } from './fit/fit.js';
export type { CurvePoint, FitReport, HeadResult } from './fit/fit-report.js';
export type { HeadRecipe } from './fit/head-recipes.js';
export type { Score } from './fit/head-training.js';
export { type ImagePairs, KnownPairs } from './image-pairs.js';
export { Interrupted } from './interrupted.js';
export { AngularLoss, type AngularLossOptions } from './losses/angular.js';
export { ArcFaceLoss, type ArcFaceOptions } from './losses/arcface.js';
export { CentreLoss, type CentreOptions } from './losses/centre.js';
export { CentroidTripletLoss, type CentroidTripletOptions } from './losses/centroid-triplet.js';
export { CircleLoss, type CircleOptions } from './losses/circle.js';
export { ContrastiveLoss, type ContrastiveLossOptions } from './losses/contrastive.js';
export { CosFaceLoss, type CosFaceOptions } from './losses/cosface.js';
export { CrossBatchMemory, type CrossBatchMemoryOptions } from './losses/cross-batch-memory.js';
export { EmbeddingNormLoss, type EmbeddingNormOptions } from './losses/embedding-norm.js';
export { FastApLoss, type FastApOptions } from './losses/fast-ap.js';
export { HistogramLoss, type HistogramLossOptions } from './losses/histogram.js';
export { HyperbolicPairwiseLoss, type HyperbolicPairwiseOptions } from './losses/hyperbolic-pairwise.js';
export { KantorovMarginLoss, type KantorovMarginOptions } from './losses/kantorov-margin.js';
export { KoLeoLoss, type KoLeoOptions } from './losses/koleo.js';
export {
  Loss,
  type LossContext,
  type LossFacts,
  type LossPart,
  lossPart,
  selectTuples,
  type TupleEmbeddings,
} from './losses/loss.js';
export { MarginLoss, type MarginLossOptions } from './losses/margin.js';
export { maskOrthogonality } from './losses/mask-orthogonality.js';
export { MultiClassNPairLoss, type MultiClassNPairOptions } from './losses/multi-class-n-pair.js';
export { MultiSimilarityLoss, type MultiSimilarityOptions } from './losses/multi-similarity.js';
export { NormalizedSoftmaxLoss, type NormalizedSoftmaxOptions } from './losses/normalized-softmax.js';
export { NPairsLoss, type NPairsOptions } from './losses/npairs.js';
export { NtXentLoss, type NtXentOptions } from './losses/nt-xent.js';
export { PairContrastiveLoss, type PairContrastiveOptions } from './losses/pair-contrastive.js';
export { type PairMasks, pairMasks } from './losses/pair-masks.js';
export { PotentialFieldLoss, type PotentialFieldOptions } from './losses/potential-field.js';
export { ProxyAnchorLoss, type ProxyAnchorOptions } from './losses/proxy-anchor.js';
export { ProxyNcaLoss, type ProxyNcaOptions } from './losses/proxy-nca.js';
export { RankedListLoss, type RankedListOptions } from './losses/ranked-list.js';
export { RecallAtKLoss, type RecallAtKOptions } from './losses/recall-at-k.js';
export { RoadmapLoss, type RoadmapOptions } from './losses/roadmap.js';
export { SmoothApLoss, type SmoothApOptions } from './losses/smooth-ap.js';
export { SnrLoss, type SnrLossOptions } from './losses/snr.js';
export { SoftTripleLoss, type SoftTripleOptions } from './losses/soft-triple.js';
export { SubCentreArcFaceLoss, type SubCentreArcFaceOptions } from './losses/sub-centre-arcface.js';
export { SumLoss, type WeightedLoss } from './losses/sum.js';
export { SupConLoss, type SupConOptions } from './losses/sup-con.js';
export {
  ThresholdConsistentMarginLoss,
  type ThresholdConsistentMarginOptions,
} from './losses/threshold-consistent-margin.js';
export { TripletLoss, type TripletLossOptions } from './losses/triplet.js';
export { TripletAllLoss, type TripletAllOptions } from './losses/triplet-all.js';
export { TripletSemihardLoss, type TripletSemihardOptions } from './losses/triplet-semihard.js';
export { type KeptMap, type MapRunOptions, mapRun } from './map/map-run.js';
export { AngularMiner, type AngularMinerOptions } from './miners/angular.js';
export { BatchEasyHardMiner, type BatchEasyHardOptions } from './miners/batch-easy-hard.js';
export { DistanceWeightedMiner, type DistanceWeightedOptions } from './miners/distance-weighted.js';
export { EasyPositiveMiner, type EasyPositiveOptions } from './miners/easy-positive.js';
export { FlexibleTripletMiner, type FlexibleTripletOptions } from './miners/flexible-triplet.js';
export { HdcMiner, type HdcOptions } from './miners/hdc.js';
export type { Miner, MinerContext, MinerPart } from './miners/miner.js';
export { MultiSimilarityMiner, type MultiSimilarityMinerOptions } from './miners/multi-similarity.js';
export { PairMarginMiner, type PairMarginOptions } from './miners/pair-margin.js';
export { UniformHistogramMiner, type UniformHistogramOptions } from './miners/uniform-histogram.js';
export type { Cutoff, MiningBounds } from './mining-bounds.js';
export {
  Backbone,
  type BackboneContext,
  type BackbonePart,
  backbonePart,
} from './models/backbones/backbone.js';
export type { FeatureModule } from './models/backbones/own-backbone.js';
export { ViT } from './models/backbones/vit/vit.js';
export type { ViTShape } from './models/backbones/vit/vit-shape.js';
export {
  createModel,
  type ModelName,
  type ModelOptions,
  modelNames,
  type NamedBackbone,
} from './models/create-model.js';
export type { EmbeddingInitKind, EmbeddingInitOptions } from './models/embedding-init.js';
export { EmbeddingModel, type EmbeddingModelOptions } from './models/embedding-model.js';
export type { EmbeddingNetwork, EmbedOptions } from './models/embedding-network.js';
export { GeMPooling } from './models/heads/gem.js';
export { Head, type HeadBuilder, type HeadPart, type HeadShape } from './models/heads/head.js';
export { heads, type NamedHead } from './models/heads/heads.js';
export type { InputFormat } from './models/input-format.js';
export { LearnerMasks, type MaskOptions } from './models/masks.js';
export type { TuningContext, TuningPart } from './models/tunings/tuning.js';
export { type NamedTuning, tunings } from './models/tunings/tunings.js';
export { backboneOfConfig, inputOfPreprocessor } from './models/weights/hub-config.js';
export {
  type DescribedModel,
  describeModels,
  type ListedModel,
  listModels,
} from './models/weights/list-models.js';
export { publicName, publishedAs } from './models/weights/public-name.js';
export type { Published as PublishedBackbone } from './models/weights/published.js';
export {
  type FetchWeightsOptions,
  fetchWeights,
  type PublishedWeights,
} from './models/weights/published-weights.js';
export { imageNetWeights, loadWeights } from './models/weights/weights.js';
export { nearestNeighbours } from './neighbours/nearest.js';
export { pairwiseDistances } from './neighbours/pairwise.js';
export { type Ball, ballDistances, toPoincareBall } from './neighbours/poincare.js';
export { PreparedGallery } from './neighbours/prepared-gallery.js';
export { ActivationCheckpoints } from './optimize/activation-checkpoints.js';
export { type BatchEmbedder, type EmbeddedBatch, embedWhole } from './optimize/batch-embedder.js';
export { GradientCache } from './optimize/gradient-cache.js';
export { ModelAverage } from './optimize/model-average.js';
export { MomentumEncoder } from './optimize/momentum-encoder.js';
export type { OptimizerPart } from './optimize/optimizer.js';
export type { ScheduleContext, SchedulePart } from './optimize/schedule.js';
export { type OptimizerOptions, TrainingOptimizer } from './optimize/training-optimizer.js';
export { OptionError } from './option-error.js';
export { type AnyPart, type Part, part, withDefaults } from './part.js';
export { Random } from './random.js';
export { type AnyIndex, openAnyIndex } from './retrieve/any-index.js';
export { augmentIndex } from './retrieve/augment-index.js';
export { calibrateIndex } from './retrieve/calibrate-index.js';
export { type Classified, type ClassifyOptions, classify } from './retrieve/classify.js';
export { type EmbeddedFolder, type EmbedFolderOptions, embedFolder } from './retrieve/embed-folder.js';
export type { Embedder, EmbedRequest } from './retrieve/embedder.js';
export { type ExplainOptions, type Explanation, explain } from './retrieve/explain.js';
export {
  ImageIndex,
  type IndexLock,
  type IndexSearchOptions,
  type OpenIndexOptions,
  type SaveIndexOptions,
} from './retrieve/image-index.js';
export { type IndexCsvOptions, indexCsv } from './retrieve/index-csv.js';
export { type IndexedFolder, type IndexFolderOptions, indexFolder } from './retrieve/index-folder.js';
export {
  type IndexedItems,
  type IndexItemsOptions,
  type ItemToIndex,
  indexItems,
} from './retrieve/index-items.js';
export { mapIndex } from './retrieve/map-index.js';
export type { ImageOf, Match } from './retrieve/match.js';
export { mergeEmbeddings } from './retrieve/merge-embeddings.js';
export {
  type ImageSearch,
  type ImageSearchOptions,
  type OpenSearchOptions,
  openIndex,
} from './retrieve/open-index.js';
export { type OpenModelOptions, openModel } from './retrieve/open-model.js';
export type { BuildGraphOptions } from './retrieve/row-graph.js';
export { searchLabelled } from './retrieve/search-where.js';
export {
  type SimilarGroup,
  type SimilarPair,
  type SimilarPairsOptions,
  similarGroups,
  similarPairs,
} from './retrieve/similar-pairs.js';
export { StoreIndex, type StoreSearchOptions } from './retrieve/store-index.js';
export type { BuildStoreOptions } from './retrieve/store-recall.js';
export type { StoreGraph } from './retrieve/stores/store-record.js';
export type { TrainedModel } from './retrieve/trained-model.js';
export type { Labels, RowData } from './row-data.js';
export { batchRows, type Labelled, labelled, type Rows, type Similarity, similarityMatrix } from './rows.js';
export { AdaptiveClassBalancedSampler } from './samplers/adaptive.js';
export type { BatchSampler, Difficulty, SamplerContext, SamplerPart } from './samplers/batch-sampler.js';
export { ClassBalancedSampler } from './samplers/class-balanced.js';
export { HardImageSampler } from './samplers/hard-images.js';
export { HierarchicalSampler } from './samplers/hierarchical.js';
export { NPairsSampler } from './samplers/npairs.js';
export { PairSampler } from './samplers/pairs.js';
export { PkSampler } from './samplers/pk.js';
export { RandomBatchSampler } from './samplers/random-batches.js';
export type { ServeLimits } from './serve/limits.js';
export { type ServeOptions, type Service, serve } from './serve/serve.js';
export type { TrackedRun, Tracker, TrackerPart } from './track/tracker.js';
export { type Checkpoint, loadCheckpoint, saveCheckpoint } from './train/checkpoint.js';
export { type ComparedRun, compareRuns, type RunComparison } from './train/compare-runs.js';
export {
  type EvaluatedSets,
  type EvaluateNetworkOptions,
  evaluatePublished,
} from './train/evaluate-network.js';
export { type EvaluatedRun, type EvaluateRunOptions, evaluateRun } from './train/evaluate-run.js';
export type { EvaluationTables } from './train/evaluation-tables.js';
export type { TrainObserver } from './train/observer.js';
export { joinObservers } from './train/observers.js';
export { type StepInput, type StepResult, TrainingStep } from './train/step.js';
export { type TrainRequest, train } from './train/train.js';
export { type TrainEmbeddingOptions, trainEmbedding } from './train/train-embedding.js';
export { asPairs, asTuples, type Mined, type Pairs, type Tuples } from './tuples.js';
