/**
 * Whose published code decides where it differs from the paper: 'dcesml' is the TPAMI authors' ("Improving Deep Metric
 * Learning by Divide and Conquer"), 'revisiting-dml' the collection of "Revisiting Training Strategies and Generalization
 * Performance in Deep Metric Learning" (ICML 2020).
 */
export const compats = ['dcesml', 'revisiting-dml'] as const;
export type Compat = (typeof compats)[number];
