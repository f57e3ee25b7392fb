/** A rectangle in whole pixels of the EXIF-oriented image. */
export interface Crop {
  left: number;
  top: number;
  width: number;
  height: number;
}
