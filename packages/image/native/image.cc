#include "image.h"

#include <algorithm>
#include <cmath>

namespace conquer {

namespace {

// A part of the whole image, resized: where that is in the image.
bool part_of_whole(const Request& request, int width, int height, Box& box) {
  if (request.left < 0 || request.top < 0 || request.width != request.out_width || request.height != request.out_height ||
      request.width > request.whole_width - request.left || request.height > request.whole_height - request.top) {
    return false;
  }
  const double across = static_cast<double>(width) / request.whole_width;
  const double down = static_cast<double>(height) / request.whole_height;
  box = {request.left * across, request.top * down, request.width * across, request.height * down,
         support_of(request.kernel) * std::max(across, 1.0) + 1, support_of(request.kernel) * std::max(down, 1.0) + 1};
  return true;
}

}  // namespace

Region::Region(double start, double length, double beyond, int total)
    : first(std::max(0, static_cast<int>(std::floor(start - beyond)))),
      last(std::min(total, static_cast<int>(std::ceil(start + length + beyond)))) {}

bool wanted_box(const Request& request, int width, int height, Box& box) {
  if (request.whole_width > 0) return part_of_whole(request, width, height, box);
  if (request.width == 0) {
    box = {0, 0, static_cast<double>(width), static_cast<double>(height), 0, 0};
  } else {
    if (request.left < 0 || request.top < 0 || request.width < 0 || request.height < 1 ||
        request.width > width - request.left || request.height > height - request.top) {
      return false;
    }
    box = {static_cast<double>(request.left), static_cast<double>(request.top), static_cast<double>(request.width),
           static_cast<double>(request.height), 0, 0};
  }
  if (request.cover) {
    const double scale = std::max(request.out_width / box.width, request.out_height / box.height);
    const double covered_width = request.out_width / scale;
    const double covered_height = request.out_height / scale;
    box = {box.left + (box.width - covered_width) / 2, box.top + (box.height - covered_height) / 2, covered_width,
           covered_height, 0, 0};
  }
  return true;
}

}  // namespace conquer
