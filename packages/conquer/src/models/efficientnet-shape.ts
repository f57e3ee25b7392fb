/** What an EfficientNet is made of (Tan and Le, arXiv 1905.11946, table 1, and its own scaling of that). */
export interface EfficientNetShape {
  /** By how much there are more channels than in the smallest. */
  width: number;
  /** By how much there are more blocks. */
  depth: number;
  /** Without squeeze-and-excitation, ReLU6 for SiLU, the stem, the head and the outer stages as in the smallest. Default false. */
  lite?: boolean;
  /** As the weights of TensorFlow were trained: padding that is larger at the right and bottom, eps 1e-3. Default false. */
  tf?: boolean;
}
