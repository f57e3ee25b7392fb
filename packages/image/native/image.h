// What is asked of one image, and what a thread keeps between images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "resize.h"

namespace conquer {

// A part of an image, resized to out_width×out_height and mirrored left to right if `flip`.
struct Request {
  int left, top, width, height;  // pixels of the oriented image; width 0: the whole image
  int out_width, out_height;
  bool flip;
  bool cover;  // keep the ratio: cut the sides that are too long
  Kernel kernel;
  // The size to which the whole image is resized before the part is cut out, which is then in pixels of that; 0: it is cut
  // out of the image as it is, and what lies around it has no part in its border.
  int whole_width, whole_height;
};

struct Box {
  double left, top, width, height;
  double across, down;  // how far around it pixels count
};

// Whole samples around [start, start + length) of `total`, and `beyond` these.
struct Region {
  int first, last;
  Region(double start, double length, double beyond, int total);
};

// The part of a width×height image that the request wants; false when it lies outside of the image.
bool wanted_box(const Request& request, int width, int height, Box& box);

// Buffers that a thread uses again for the next image.
struct Workspace {
  std::vector<uint8_t> file;
  std::vector<uint8_t> line;
  std::vector<uint8_t> rows;
  std::vector<uint8_t> turned;
  Filter across;
  Filter down;
};

}  // namespace conquer
