export interface BuildOptions {
  say?: (line: string) => void;
  anew?: boolean;
}

export function buildTorch(folder: string, options?: BuildOptions): Promise<string>;
export function buildImage(folder: string, options?: BuildOptions): Promise<string>;
