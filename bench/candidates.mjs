/** Candidates that graphs are asked for until they find enough: all sides take the first of these that does. */
export const WIDTHS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096];
