// Resizing with a triangle filter ("bilinear" with antialiasing) or a cubic one, in the arithmetic of Pillow's resize: weights
// in fixed point with 22 bits, first along the rows and then along the columns, rounded and clipped to 8 bits after each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace conquer {

// Which input samples make each output sample along one axis, and with what weights.
struct Filter {
  int taps;                     // input samples of an output sample; some weights are 0 where fewer are needed
  std::vector<int32_t> firsts;  // the first input sample of each output sample
  std::vector<int32_t> weights; // `taps` an output sample
};

enum class Kernel { triangle, cubic };

// How far a kernel reaches, in samples of the coarser side.
double support_of(Kernel kernel);

// Maps [from, to) of `inputs` samples to `outputs` samples, in reverse order where `mirror` is set.
void make_filter(Kernel kernel, double from, double to, int inputs, int outputs, bool mirror, Filter& filter);

// A row of pixels, 3 or 4 bytes each (RGB or RGBX), to a row of RGB. Reads and writes up to 1 byte past the last pixel.
void resize_row_rgb(const uint8_t* row, const Filter& filter, uint8_t* out);
void resize_row_rgbx(const uint8_t* row, const Filter& filter, uint8_t* out);

// Rows of `bytes` bytes, one after the other, to the filter's number of such rows.
void resize_columns(const uint8_t* rows, size_t bytes, const Filter& filter, uint8_t* out);

// height×width RGB pixels to width×height.
void transpose_rgb(const uint8_t* pixels, int width, int height, uint8_t* out);

}  // namespace conquer
