export interface GraphFileParts {
  rows: readonly (readonly number[])[];
  nodes: readonly { key?: number; layers: readonly (readonly number[])[] }[];
  scalar?: 'i8' | 'f16';
  links?: number;
  lowestLinks?: number;
  entry?: number;
}

export function graphFile(parts: GraphFileParts): Uint8Array;
