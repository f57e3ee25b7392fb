// What there is here of pytorch-metric-learning, name by name. `here` are names of the library, or parts of an experiment
// (`loss proxy-anchor`); `compared` is run on both sides, see compare.mjs.

const none = (how = 'not here') => ({ here: [], how });
const is = (here, how, compared) => ({ here: [here].flat(), how, ...(compared && { compared }) });
const loss = (make, ours, more = {}) => ({ kind: 'loss', make, ours, ...more });
const weights = (ours, theirs, transposed = true) => ({ ours, theirs, transposed });
const miner = (make, ours) => ({ kind: 'miner', make, ours });
const classes = 'num_classes=classes, embedding_size=dim';

const losses = {
  AngularLoss: is(
    'AngularLoss',
    'there the angular term alone, of negatives that are not scaled to length 1; here beside the N-pair term, as in the paper. Compared: the term, of rows of length 1',
    loss(
      'losses.AngularLoss(alpha=45)',
      ({ AngularLoss }) => new AngularLoss({ alphaDegrees: 45, angularWeight: 1 }),
      { unit: true, minus: ({ MultiClassNPairLoss }) => new MultiClassNPairLoss() },
    ),
  ),
  ArcFaceLoss: is(
    'ArcFaceLoss',
    'equal; the margin in radians here, scale 16 by default',
    loss(
      `losses.ArcFaceLoss(${classes}, margin=28.6, scale=64)`,
      ({ ArcFaceLoss }, of) =>
        new ArcFaceLoss({ ...of, angularMargin: (28.6 * Math.PI) / 180, featureScale: 64 }),
      { weights: weights('classWeights', 'W') },
    ),
  ),
  CircleLoss: is(
    'CircleLoss',
    'equal',
    loss('losses.CircleLoss(m=0.4, gamma=80)', ({ CircleLoss }) => new CircleLoss()),
  ),
  ContrastiveLoss: is(
    ['PairContrastiveLoss', 'ContrastiveLoss'],
    'equal over all pairs (`pair-contrastive` with `distance: euclidean`; by default cosine here); `contrastive` is of tuples, the mean of all',
    loss(
      'losses.ContrastiveLoss()',
      ({ PairContrastiveLoss }) => new PairContrastiveLoss({ distance: 'euclidean' }),
    ),
  ),
  CosFaceLoss: is(
    'CosFaceLoss',
    'equal',
    loss(`losses.CosFaceLoss(${classes})`, ({ CosFaceLoss }, of) => new CosFaceLoss(of), {
      weights: weights('classWeights', 'W'),
    }),
  ),
  CrossBatchMemory: is(
    'CrossBatchMemory',
    'for every loss of pairs or tuples; kept in the checkpoint with its fill, emptied at a redivision; there it counts as empty after a resume',
  ),
  DynamicSoftMarginLoss: none(),
  FastAPLoss: is(
    'FastApLoss',
    'equal',
    loss('losses.FastAPLoss()', ({ FastApLoss }) => new FastApLoss()),
  ),
  GeneralizedLiftedStructureLoss: none(),
  HistogramLoss: is(
    'HistogramLoss',
    'nodes here are one more than bins there; equal',
    loss('losses.HistogramLoss(n_bins=64)', ({ HistogramLoss }) => new HistogramLoss({ numBins: 65 })),
  ),
  InstanceLoss: none(),
  IntraPairVarianceLoss: none(),
  LargeMarginSoftmaxLoss: none('not here: `arcface`, `cosface`'),
  LiftedStructureLoss: none(),
  ManifoldLoss: none(),
  MarginLoss: is(
    'MarginLoss',
    '1e-8 under the root of distances here, as the authors have it',
    loss('losses.MarginLoss()', ({ MarginLoss }) => new MarginLoss(), { tuples: true }),
  ),
  MultiSimilarityLoss: is(
    'MultiSimilarityLoss',
    "with the paper's own mining, which there is `MultiSimilarityMiner`; equal",
    loss(
      'losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5)',
      ({ MultiSimilarityLoss }) => new MultiSimilarityLoss(),
      { miner: 'miners.MultiSimilarityMiner(epsilon=0.1)' },
    ),
  ),
  MultipleLosses: is('SumLoss', '`loss: [{ name, weight }, …]`'),
  NCALoss: none('not here: `proxy-nca`'),
  NPairsLoss: is(
    'MultiClassNPairLoss',
    'there the first two images of each class; here every pair. `NPairsLoss` here is another: the TPAMI authors’, with a learned scale',
  ),
  NTXentLoss: is(
    'NtXentLoss',
    'equal',
    loss('losses.NTXentLoss()', ({ NtXentLoss }) => new NtXentLoss()),
  ),
  NormalizedSoftmaxLoss: is(
    'NormalizedSoftmaxLoss',
    'equal; `labelSmoothing` here too',
    loss(
      `losses.NormalizedSoftmaxLoss(${classes})`,
      ({ NormalizedSoftmaxLoss }, of) => new NormalizedSoftmaxLoss(of),
      { weights: weights('classWeights', 'W') },
    ),
  ),
  P2SGradLoss: none(),
  PNPLoss: none('not here: `roadmap`, `smooth-ap`, `fast-ap`, `recall-at-k`'),
  ProxyAnchorLoss: is(
    'ProxyAnchorLoss',
    'equal',
    loss(`losses.ProxyAnchorLoss(${classes})`, ({ ProxyAnchorLoss }, of) => new ProxyAnchorLoss(of), {
      weights: weights('proxies', 'proxies', false),
    }),
  ),
  ProxyNCALoss: is(
    'ProxyNcaLoss',
    'as published, the own proxy is not in the denominator here; there it is, and classes beyond the proxies vanish from the mean: an error here',
  ),
  RankedListLoss: is(
    'RankedListLoss',
    'equal; a negative at distance 0 counts here',
    loss('losses.RankedListLoss(margin=0.4, Tn=10, alpha=1.2)', ({ RankedListLoss }) => new RankedListLoss()),
  ),
  SelfSupervisedLoss: is(
    'NtXentLoss',
    "`positives: 'two-views'`; `'first-to-second'` is its `symmetric=False`",
  ),
  SignalToNoiseRatioContrastiveLoss: is('SnrLoss', 'contrastive there, a triplet loss here'),
  SmoothAPLoss: is(
    'SmoothApLoss',
    'as the authors, for classes of any size; there right only where the classes are as many as the images of each (compared: 6 of 6)',
    loss('losses.SmoothAPLoss()', ({ SmoothApLoss }) => new SmoothApLoss()),
  ),
  SoftTripleLoss: is(
    'SoftTripleLoss',
    'there without the term that merges centres; the authors’ 1e-5 here, `rootOffset: 0` as there (compared: `tau: 0`)',
    loss(
      `losses.SoftTripleLoss(${classes}, centers_per_class=3)`,
      ({ SoftTripleLoss }, of) => new SoftTripleLoss({ ...of, centresPerClass: 3, tau: 0 }),
      { weights: weights('centres', 'fc') },
    ),
  ),
  SphereFaceLoss: none('not here: `arcface`, `cosface`'),
  SubCenterArcFaceLoss: is(
    'SubCentreArcFaceLoss',
    'equal',
    loss(
      `losses.SubCenterArcFaceLoss(${classes})`,
      ({ SubCentreArcFaceLoss }, of) => new SubCentreArcFaceLoss(of),
      { weights: weights('centres', 'W') },
    ),
  ),
  SupConLoss: is(
    'SupConLoss',
    "equal; `form: 'authors'` is the authors'",
    loss('losses.SupConLoss()', ({ SupConLoss }) => new SupConLoss()),
  ),
  ThresholdConsistentMarginLoss: is(
    'ThresholdConsistentMarginLoss',
    'equal; a reference set counts here',
    loss(
      'losses.ThresholdConsistentMarginLoss()',
      ({ ThresholdConsistentMarginLoss }) => new ThresholdConsistentMarginLoss(),
    ),
  ),
  TripletMarginLoss: is(
    ['TripletLoss', 'TripletAllLoss', 'TripletSemihardLoss'],
    'margin 0.2 here, 0.05 there; 1e-6 is added to differences here, as PyTorch does',
    loss('losses.TripletMarginLoss(margin=0.2)', ({ TripletLoss }) => new TripletLoss(), { tuples: true }),
  ),
  TupletMarginLoss: none(),
  VICRegLoss: none('not here: `koleo` spreads embeddings'),
  BaseLossWrapper: is('SumLoss', 'a class to derive from there'),
  BaseMetricLossFunction: is('Loss', 'the class to derive from'),
  GenericPairLoss: is('pairMasks', 'what a loss of pairs begins with'),
  EmbeddingRegularizerMixin: is('SumLoss', 'a regulariser is one of several losses'),
  WeightRegularizerMixin: none('not here: weight decay (`optimize.weightDecay`)'),
  WeightMixin: none('proxies are drawn as the papers have it'),
};

const miners = {
  AngularMiner: is(
    'AngularMiner',
    'equal',
    miner('miners.AngularMiner(angle=20)', ({ AngularMiner }) => new AngularMiner()),
  ),
  BatchEasyHardMiner: is(
    'BatchEasyHardMiner',
    'equal',
    miner(
      "miners.BatchEasyHardMiner(pos_strategy='easy', neg_strategy='semihard')",
      ({ BatchEasyHardMiner }) => new BatchEasyHardMiner(),
    ),
  ),
  BatchHardMiner: is(
    'miner batch-hard',
    'equal',
    miner(
      'miners.BatchHardMiner()',
      ({ BatchEasyHardMiner }) => new BatchEasyHardMiner({ positive: 'hard', negative: 'hard' }),
    ),
  ),
  DistanceWeightedMiner: is(
    'DistanceWeightedMiner',
    "by chance: the same weights, but normalised for each anchor here; there by the batch's largest, so that it falls silent in 512 dimensions",
  ),
  EmbeddingsAlreadyPackagedAsTriplets: none('not here: rows of tuples are what a miner gives'),
  HDCMiner: is(
    'HdcMiner',
    'equal',
    miner('miners.HDCMiner(filter_percentage=0.5)', ({ HdcMiner }) => new HdcMiner()),
  ),
  MultiSimilarityMiner: is(
    'MultiSimilarityMiner',
    'equal',
    miner(
      'miners.MultiSimilarityMiner(epsilon=0.1)',
      ({ MultiSimilarityMiner }) => new MultiSimilarityMiner(),
    ),
  ),
  PairMarginMiner: is(
    'PairMarginMiner',
    'equal',
    miner(
      'miners.PairMarginMiner(pos_margin=0.2, neg_margin=0.8)',
      ({ PairMarginMiner }) => new PairMarginMiner(),
    ),
  ),
  TripletMarginMiner: is(
    ['TripletAllLoss', 'miner random-semihard', 'miner hard-hard'],
    'all triplets of a kind there; here all triplets in a loss, or one a pair or anchor',
  ),
  UniformHistogramMiner: is('UniformHistogramMiner', 'by chance: the same bins and counts'),
  BaseMiner: is('Miner', 'the interface to implement'),
};

const distances = {
  CosineSimilarity: is('batchRows', '`distance: cosine`; the usual one, as rows have length 1'),
  DotProductSimilarity: is(
    'batchRows',
    '`distance: inner-product`, of rows as they are before they have length 1',
  ),
  LpDistance: is('batchRows', '`distance: euclidean` or `squared`; p = 2 alone'),
  SNRDistance: is('SnrLoss', 'in its loss alone'),
  BatchedDistance: is('nearestNeighbours', 'neighbours are found block by block'),
  BaseDistance: none('not here: a loss of one’s own compares rows as it likes'),
};

const reducers = {
  AvgNonZeroReducer: is('TripletLoss', '`averageNonZeroOnly` of the losses that differ by it'),
  MeanReducer: is('TripletLoss', 'each loss divides by what its paper says; `averageNonZeroOnly: false`'),
  SumReducer: is('PotentialFieldLoss', 'where the paper has a sum'),
  DivisorReducer: is('MarginLoss', 'the number of pairs with a loss'),
  PerAnchorReducer: is('CircleLoss', 'where the paper has it'),
  MultipleReducers: is('SumLoss', 'weights of several losses'),
  ClassWeightedReducer: none(),
  DoNothingReducer: none('a loss gives a scalar'),
  ThresholdReducer: none(),
  BaseReducer: none('not here: a loss says its own divisor'),
};

const regularizers = {
  LpRegularizer: is(
    'EmbeddingNormLoss',
    'equal',
    loss(
      'losses.ContrastiveLoss(pos_margin=9, neg_margin=-9, embedding_regularizer=regularizers.LpRegularizer())',
      ({ EmbeddingNormLoss }) => new EmbeddingNormLoss(),
      { raw: true },
    ),
  ),
  CenterInvariantRegularizer: is(
    'CentreLoss',
    'another thing there: proxies of equal length; here distances to learned centres',
  ),
  ZeroMeanRegularizer: none('not here: `koleo` spreads embeddings'),
  RegularFaceRegularizer: none(),
  SparseCentersRegularizer: is('SoftTripleLoss', '`tau`'),
  BaseRegularizer: is('Loss', 'a term of a sum is a loss'),
};

const samplers = {
  MPerClassSampler: is(
    ['PkSampler', 'ClassBalancedSampler'],
    '`pk` shows every image at least once an epoch and repeats none in a batch; there an “epoch” of 1,000 images shows 637, and a class of one image gives four copies',
  ),
  HierarchicalSampler: is(
    'HierarchicalSampler',
    'full batches, every image at least once; there one super-class gives no batches, and small ones smaller batches',
  ),
  FixedSetOfTriplets: none(),
  TuplesToWeightsSampler: is(
    'HardImageSampler',
    'images that are hard come up more often: there by how often a miner takes them, here by their neighbours',
  ),
};

const testers = {
  GlobalEmbeddingSpaceTester: is('evaluateModel', 'the same'),
  WithSameParentLabelTester: none('not here: a gallery by category (`evaluateEmbeddings` of each)'),
  GlobalTwoStreamEmbeddingSpaceTester: none(),
  BaseTester: is('evaluateEmbeddings', 'of any embeddings'),
};

const trainers = {
  MetricLossOnly: is('train', 'the same, divided or with one learner'),
  CascadedEmbeddings: is('train', 'learners are masks over one embedding here'),
  TrainWithClassifier: is('SumLoss', 'a classification loss is one of several'),
  DeepAdversarialMetricLearning: none(),
  TwoStreamMetricLoss: none(),
  BaseTrainer: is('train', 'an experiment is data'),
  NegativeLpDistance: none('of DeepAdversarialMetricLearning'),
};

const inference = {
  InferenceModel: is('openModel', 'embeds, and makes an index (`indexFolder`)'),
  MatchFinder: is('nearestNeighbours', 'thresholds are the caller’s'),
  FaissKNN: is('nearestNeighbours', 'exact, in blocks; `PreparedGallery` keeps what a gallery needs'),
  CustomKNN: none('not here: cosine and Euclidean'),
  FaissKMeans: is('kMeans', 'greedy k-means++ start'),
  DistributedLossWrapper: none('one process'),
  DistributedMinerWrapper: none('one process'),
};

const metric = (name) => ({ kind: 'metrics', names: [name] });
const accuracy = {
  precision_at_1: is(
    'evaluateEmbeddings',
    '`R@1`; labels of any size here (there float32: classes above 2²⁴ run together)',
    metric('precision_at_1'),
  ),
  mean_average_precision_at_r: is('evaluateEmbeddings', '`MAP@R`', metric('mean_average_precision_at_r')),
  mean_average_precision: is('evaluateEmbeddings', '`MAP`', metric('mean_average_precision')),
  r_precision: is('evaluateEmbeddings', '`RP`', metric('r_precision')),
  mean_reciprocal_rank: is('evaluateEmbeddings', '`MRR`', metric('mean_reciprocal_rank')),
  NMI: is('normalizedMutualInformation', 'arithmetic; k-means by another start'),
  AMI: is('evaluateEmbeddings', '`AMI`, of the clusters of `NMI`'),
};

/** What our names of the metrics are. */
export const pmlMetrics = {
  precision_at_1: 'R@1',
  mean_average_precision_at_r: 'MAP@R',
  mean_average_precision: 'MAP',
  r_precision: 'RP',
  mean_reciprocal_rank: 'MRR',
};

export const pml = {
  losses,
  miners,
  distances,
  reducers,
  regularizers,
  samplers,
  testers,
  trainers,
  inference,
  'accuracy metrics': accuracy,
};
