// What is compared in division: one factor at a time from four learners, learned masks, by images, redivided.

const four = { divide: { numLearners: 4 } };

/** An experiment's fields over the base of a cell; `joined`: how the trained learners become one embedding. */
export const variants = {
  one: { what: 'one learner', experiment: { divide: { numLearners: 1 } } },
  two: { what: '2 learners', experiment: { divide: { numLearners: 2 } } },
  four: { what: '4 learners, learned masks, by images, redivided', experiment: four },
  eight: { what: '8 learners', experiment: { divide: { numLearners: 8 } } },
  sixteen: { what: '16 learners', experiment: { divide: { numLearners: 16 } } },
  fixed: { what: '4, fixed masks', experiment: { ...four, model: { masks: { kind: 'fixed' } } } },
  unmasked: {
    what: '4, no masks',
    // They stay the ones that they begin as.
    experiment: { divide: { numLearners: 4, maskLambda: 0 }, optimize: { maskLearningRateMultiplier: 0 } },
  },
  classes: { what: '4, whole classes', experiment: { divide: { numLearners: 4, clusterBy: 'class' } } },
  once: { what: '4, divided once', experiment: { divide: { numLearners: 4, modEpoch: 100_000 } } },
  longer: {
    what: 'one learner, as long as 4 took',
    like: 'four',
    experiment: { divide: { numLearners: 1 } },
  },
};

/** Division of today, on kept features. Each beside its control: the same without division. */
export const today = {
  adapters: {
    what: '4 learners, each an adapter of its own and a quarter of the dimensions',
    control: 'adapters-alone',
    experiment: { ...four, model: { masks: { kind: 'fixed' }, head: { name: 'adapters', branches: 4 } } },
  },
  'adapters-alone': {
    what: 'the same head, one learner',
    experiment: { divide: { numLearners: 1 }, model: { head: { name: 'adapters', branches: 4 } } },
  },
  distilled: {
    what: '4 learners, fixed masks; their relations distilled into one embedding in the last quarter of the steps',
    control: 'one',
    distilled: true,
    experiment: { ...four, model: { masks: { kind: 'fixed' } } },
  },
  nested: {
    what: '4 learners, nested masks: a prefix of the learners is a smaller embedding',
    control: 'one',
    experiment: { ...four, model: { masks: { kind: 'nested' } } },
  },
};

/** Less arithmetic, of one learner: the network's first half as it came, images that grow, and both; and the same arithmetic in bfloat16. */
const half = { name: 'full', freezeBelow: 8 };
const growing = { imageSizeFrom: 64, imageSizeEpochs: 6 };
export const less = {
  whole: { what: 'the whole network', experiment: {} },
  growing: { what: 'images grow from 64 pixels', experiment: { data: growing } },
  half: { what: '8 of its 18 layers as they came', experiment: { model: { tuning: half } } },
  both: {
    what: '8 of its 18 layers as they came, images grow',
    experiment: { data: growing, model: { tuning: half } },
  },
  kept: {
    what: '8 of its 18 layers as they came, what they make of 8 views kept',
    experiment: { model: { tuning: { ...half, keptViews: 8 } } },
  },
  bfloat16: { what: 'the whole network, in bfloat16', experiment: { train: { precision: 'bfloat16' } } },
};

export const variantOf = (name) => variants[name] ?? today[name] ?? less[name];
