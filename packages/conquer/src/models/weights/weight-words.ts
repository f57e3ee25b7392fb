/**
 * What may stand in the place of a file of weights. `published`: those that the backbone's own name is of, or, where it has no
 * such name, as `imagenet`, torchvision's. They come with the program, or are fetched once.
 */
export const weightWords: readonly string[] = ['published', 'imagenet'];
