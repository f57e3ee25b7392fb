// What there is here of open-metric-learning, name by name, as in pml.mjs.

const none = (how = 'not here') => ({ here: [], how });
const is = (here, how, compared) => ({ here: [here].flat(), how, ...(compared && { compared }) });

const losses = {
  ArcFaceLoss: is('ArcFaceLoss', 'margin 0.5 and scale 64 there', {
    kind: 'loss',
    make: 'ArcFaceLoss(in_features=dim, num_classes=classes, m=0.5, s=64)',
    ours: ({ ArcFaceLoss }, of) => new ArcFaceLoss({ ...of, angularMargin: 0.5, featureScale: 64 }),
    weights: { ours: 'classWeights', theirs: 'weight', transposed: false },
  }),
  ArcFaceLossWithMLP: is('model.head', 'layers before the loss are the model’s head'),
  SurrogatePrecision: none('not here: `recall-at-k`, `smooth-ap`, `roadmap`'),
  TripletLoss: is('TripletLoss', 'mean over all there (`averageNonZeroOnly: false`)', {
    kind: 'loss',
    make: 'TripletLoss(margin=0.2)',
    tuples: true,
    ours: ({ TripletLoss }) => new TripletLoss({ margin: 0.2, averageNonZeroOnly: false }),
  }),
  TripletLossPlain: is('TripletLoss', 'tuples are what a miner gives'),
  TripletLossWithMiner: is(
    'TripletLoss',
    'with `miner`; a batch without tuples is skipped and counted, an AssertionError there',
  ),
};

const miners = {
  AllTripletsMiner: is('TripletAllLoss', 'all triplets, in the loss'),
  HardTripletsMiner: is('miner batch-hard', 'equal', {
    kind: 'miner',
    make: 'HardTripletsMiner()',
    ours: ({ BatchEasyHardMiner }) => new BatchEasyHardMiner({ positive: 'hard', negative: 'hard' }),
  }),
  NHardTripletsMiner: none('not here: `hard-hard`, `hdc`'),
  HardClusterMiner: is('CentroidTripletLoss', 'of centroids, in the loss'),
  MinerWithBank: is('CrossBatchMemory', 'a memory for any loss of pairs or tuples'),
  TripletMinerWithMemory: is('CrossBatchMemory', 'a memory for any loss of pairs or tuples'),
  PairsMiner: is('UniformHistogramMiner', 'pairs of both kinds; hard ones are `pair-margin`, `hdc`'),
};

const samplers = {
  BalanceSampler: is(
    ['PkSampler', 'ClassBalancedSampler'],
    'an epoch there is classes ÷ n_labels batches, and a class of one image is refused; `pk` shows every image',
  ),
  CategoryBalanceSampler: is('HierarchicalSampler', 'classes of a few categories share a batch'),
  DistinctCategoryBalanceSampler: is(
    'HierarchicalSampler',
    'the same, without repeating a class before all were there',
  ),
};

const models = {
  ResnetExtractor: is('openModel', 'resnet18 to resnet152, `conquer models`'),
  ViTExtractor: is('openModel', 'DINO, DINOv2 and others by public name'),
  ViTCLIPExtractor: is('openModel', 'CLIP by public name'),
  ViTUnicomExtractor: none(),
  HFWrapper: none('texts are not trained on here'),
  ECAPATDNNExtractor: none('sound is not trained on here'),
  ExtractorWithMLP: is('model.head', 'heads `linear`, `bnneck`, …'),
  GEM: is('model.pooling', '`gem`'),
  ConcatSiamese: none('no pairwise re-ranker'),
  LinearTrivialDistanceSiamese: none('no pairwise re-ranker'),
  TrivialDistanceSiamese: none('no pairwise re-ranker'),
};

const metric = (names) => ({ kind: 'metrics', names });
const metrics = {
  calc_cmc: is(
    'evaluateEmbeddings',
    '`CMC@k`',
    metric({ 'CMC@5': 'metrics.calc_cmc(hits, counts, (5,))[0].mean()' }),
  ),
  calc_map: is(
    'evaluateEmbeddings',
    '`MAP@k/found`',
    metric({ 'MAP@5/found': 'metrics.calc_map(hits, counts, (5,))[0].mean()' }),
  ),
  calc_precision: is(
    'evaluateEmbeddings',
    '`P@k`',
    metric({ 'P@10': 'metrics.calc_precision(hits, counts, (10,))[0].mean()' }),
  ),
  calc_fnmr_at_fmr: is(
    'evaluateEmbeddings',
    '`FNMR@FMR`',
    metric({ 'FNMR@FMR0.1': 'metrics.calc_fnmr_at_fmr(positives, negatives, (0.1,))[0]' }),
  ),
  calc_fnmr_at_fmr_by_distances: is(
    ['evaluatePairs', 'ListedDistances'],
    '`FNMR@FMR` of pairs that are listed, by their distances; accuracy, ROC and its area too',
  ),
  calc_fnmr_at_fmr_rr: is('evaluateEmbeddings', '`FNMR@FMR`; there of what was retrieved alone'),
  calc_pcf: is('evaluateEmbeddings', '`PCF`', metric({ 'PCF@0.5': 'metrics.calc_pcf(x, (0.5,))[0]' })),
  calc_retrieval_metrics: is('evaluateEmbeddings', 'all at once'),
  calc_retrieval_metrics_rr: is('evaluateEmbeddings', 'all at once'),
  calc_topological_metrics: is('evaluateEmbeddings', '`PCF`'),
  Accumulator: is('embedImages', 'embeddings of a data set'),
  EmbeddingMetrics: is('evaluateModel', 'metrics of an epoch'),
};

const retrieval = {
  RetrievalResults: is('nearestNeighbours', 'neighbours and distances'),
  ConstantThresholding: none('an index is searched by k; distances come along'),
  AdaptiveThresholding: none('an index is searched by k; distances come along'),
  PairwiseReranker: none(),
};

const imagesAlone = none('images alone are trained on here');
const dataSets = {
  ImageBaseDataset: is('train', 'data sets `folder`, `csv`, and those that are published'),
  ImageLabeledDataset: is('train', '`csv`: path, label, split'),
  ImageQueryGalleryDataset: is('indexFolder', 'images without labels'),
  ImageQueryGalleryLabeledDataset: is('train', '`csv`: query and gallery in its columns'),
  DFLabeledDataset: is('train', '`csv`'),
  DFQueryGalleryDataset: is('train', '`csv`'),
  DFQueryGalleryLabeledDataset: is('train', '`csv`'),
  DatasetWithLabels: is('evaluateEmbeddings', 'embeddings and labels from elsewhere'),
  DatasetQueryGallery: is('evaluateEmbeddings', '`gallery`'),
  PairDataset: none('no pairwise re-ranker'),
  AudioBaseDataset: imagesAlone,
  AudioLabeledDataset: imagesAlone,
  AudioQueryGalleryDataset: imagesAlone,
  AudioQueryGalleryLabeledDataset: imagesAlone,
  TextBaseDataset: imagesAlone,
  TextLabeledDataset: imagesAlone,
  TextQueryGalleryDataset: imagesAlone,
  TextQueryGalleryLabeledDataset: imagesAlone,
};

export const oml = {
  losses,
  miners,
  samplers,
  models,
  metrics,
  're-ranking and retrieval': retrieval,
  'data sets': dataSets,
};
