/** A network as transformers (Python's) has it: the class that it builds, and the names that this class's files have. */
export interface TransformersForm {
  /** `of` of one of the network's namings. */
  naming: string;
  /** config.json. Of its fields those that the class does not have by itself as the network has them. */
  config: { architectures: readonly [string]; model_type: string; [field: string]: unknown };
  /** Shapes of tensors that the class has besides, by name, and that its features do not depend on: they are zero. */
  unused?: Readonly<Record<string, readonly number[]>>;
}
