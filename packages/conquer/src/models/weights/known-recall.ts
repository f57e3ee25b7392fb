/** Recall@1 of weights as they were published, in per cent, on the test halves of four data sets. */
export interface KnownRecall {
  sop: number;
  inshop: number;
  cub: number;
  cars: number;
}

/** Who measured all of them, and how. */
export const RECALL_SOURCE =
  "Recall@1 without training, images of 224 pixels: the README of Open Metric Learning (github.com/OML-Team/open-metric-learning), 'models pretrained by other researchers'";

const recall = (sop: number, inshop: number, cub: number, cars: number): KnownRecall => ({
  sop,
  inshop,
  cub,
  cars,
});

/** By what was measured there, which others have under two names: timm's, and a repository of transformers' names. */
const measured: readonly [names: readonly string[], KnownRecall][] = [
  [['vit_small_patch16_224.dino', 'facebook/dino-vits16'], recall(64.8, 50.9, 62.7, 26.5)],
  [['vit_small_patch8_224.dino', 'facebook/dino-vits8'], recall(65.1, 52.4, 66.1, 31.5)],
  [['vit_base_patch16_224.dino', 'facebook/dino-vitb16'], recall(65.8, 51.4, 54.1, 28.8)],
  [['vit_base_patch8_224.dino', 'facebook/dino-vitb8'], recall(68.9, 59.9, 50.6, 31.3)],
  [['vit_small_patch14_dinov2.lvd142m', 'facebook/dinov2-small'], recall(56.6, 33.4, 79.7, 50.3)],
  [
    ['vit_small_patch14_reg4_dinov2.lvd142m', 'facebook/dinov2-with-registers-small'],
    recall(56.6, 33.2, 79.5, 74),
  ],
  [['vit_base_patch14_dinov2.lvd142m', 'facebook/dinov2-base'], recall(56.5, 34.2, 84.2, 64.4)],
  [
    ['vit_base_patch14_reg4_dinov2.lvd142m', 'facebook/dinov2-with-registers-base'],
    recall(55.7, 32.4, 83.3, 82.8),
  ],
  [['vit_large_patch14_dinov2.lvd142m', 'facebook/dinov2-large'], recall(57.6, 35.2, 84.4, 69.2)],
  [
    ['vit_large_patch14_reg4_dinov2.lvd142m', 'facebook/dinov2-with-registers-large'],
    recall(57.1, 34, 84, 87.1),
  ],
];

const byName = new Map(measured.flatMap(([names, known]) => names.map((name) => [name, known] as const)));

/** What is known of weights by somebody's measurement; null: nothing. */
export const knownRecall = (name: string): KnownRecall | null => byName.get(name) ?? null;
