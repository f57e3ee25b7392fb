// Reading an image along an affine map: rotation, zoom, shear and shift in one bilinear sampling.
#pragma once

#include <cstdint>

namespace conquer {

// What lies outside of the image, for `fill`: its nearest border pixel; else this grey.
constexpr int kFillBorder = -1;

// side×side RGB pixels to out_side×out_side. matrix: 2×3, row-major, from a point (x, y) of the output to the point of
// the image to read, both in [-1, 1]² from edge to edge, as grid_sample's with align_corners = false.
void warp_rgb(const uint8_t* pixels, int side, const float* matrix, int fill, int out_side, uint8_t* out);

}  // namespace conquer
