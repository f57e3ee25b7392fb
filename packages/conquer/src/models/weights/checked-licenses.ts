const apache = [
  'google/vit-base-patch16-224',
  'google/vit-base-patch16-224-in21k',
  'google/vit-large-patch16-224',
  'google/vit-large-patch16-384',
  'facebook/deit-tiny-patch16-224',
  'facebook/deit-small-patch16-224',
  'facebook/deit-base-patch16-224',
  'facebook/dino-vits16',
  'facebook/dino-vitb16',
  'facebook/dino-vitb8',
  'facebook/dinov2-small',
  'facebook/dinov2-base',
  'facebook/dinov2-large',
  'google/siglip-base-patch16-224',
  'google/siglip-base-patch16-256',
  'google/siglip-base-patch16-384',
  'google/siglip-base-patch16-512',
  'google/siglip-large-patch16-256',
  'google/siglip-large-patch16-384',
  'facebook/convnext-tiny-224',
  'facebook/convnext-base-224-22k',
  'facebook/convnext-large-224',
  'facebook/convnext-large-224-22k-1k',
  'microsoft/swin-tiny-patch4-window7-224',
  'microsoft/swin-base-patch4-window7-224-in22k',
  'microsoft/swin-large-patch4-window7-224',
  'microsoft/swin-large-patch4-window7-224-in22k',
  'microsoft/resnet-18',
  'microsoft/resnet-50',
];

const megaDescriptor = [
  'BVRA/MegaDescriptor-S-224',
  'BVRA/MegaDescriptor-B-224',
  'BVRA/MegaDescriptor-L-224',
  'BVRA/MegaDescriptor-L-384',
];

/** Their pages state apache-2.0; their authors (github.com/facebookresearch/ConvNeXt-V2) put trained models under cc-by-nc-4.0. */
const convNextV2 = [
  'facebook/convnextv2-atto-1k-224',
  'facebook/convnextv2-femto-1k-224',
  'facebook/convnextv2-pico-1k-224',
  'facebook/convnextv2-nano-1k-224',
  'facebook/convnextv2-tiny-1k-224',
  'facebook/convnextv2-tiny-22k-224',
  'facebook/convnextv2-base-1k-224',
  'facebook/convnextv2-base-22k-224',
  'facebook/convnextv2-large-1k-224',
  'facebook/convnextv2-large-22k-224',
];

/** By their authors' repository (github.com/facebookresearch/dinov2): its licence is the weights' too. */
const dinov2WithRegisters = ['small', 'base', 'large'].map(
  (size) => `facebook/dinov2-with-registers-${size}`,
);

/** By their authors' repository (github.com/facebookresearch/dinov3): its licence is the weights' too. */
const dinov3 = [
  'facebook/dinov3-vits16-pretrain-lvd1689m',
  'facebook/dinov3-vits16plus-pretrain-lvd1689m',
  'facebook/dinov3-vitb16-pretrain-lvd1689m',
  'facebook/dinov3-vitl16-pretrain-lvd1689m',
  'facebook/dinov3-vitl16-pretrain-sat493m',
  'facebook/dinov3-convnext-tiny-pretrain-lvd1689m',
  'facebook/dinov3-convnext-small-pretrain-lvd1689m',
  'facebook/dinov3-convnext-base-pretrain-lvd1689m',
  'facebook/dinov3-convnext-large-pretrain-lvd1689m',
];

const under = (license: string, names: readonly string[]) => names.map((name) => [name, license] as const);

/**
 * Licences by repository of transformers' naming: as the repository's page on huggingface.co states it (of dino-vitb16, dino-vitb8 and
 * LAION's ViT-L/14 the page of a copy that the hub made of it), or where that is said above as the authors' own repository does.
 */
export const checkedLicenses: ReadonlyMap<string, string> = new Map([
  ...under('apache-2.0', [...apache, ...dinov2WithRegisters]),
  ...under('cc-by-nc-4.0', [...megaDescriptor, ...convNextV2]),
  ...under('dinov3-license', dinov3),
  ...under('mit', ['laion/CLIP-ViT-L-14-laion2B-s32B-b82K']),
]);
