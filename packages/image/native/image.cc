#include "image.h"

#include <algorithm>

namespace conquer {

bool wanted_box(const Request& request, int width, int height, Box& box) {
  if (request.width == 0) {
    box = {0, 0, static_cast<double>(width), static_cast<double>(height)};
  } else {
    if (request.left < 0 || request.top < 0 || request.width < 0 || request.height < 1 ||
        request.width > width - request.left || request.height > height - request.top) {
      return false;
    }
    box = {static_cast<double>(request.left), static_cast<double>(request.top), static_cast<double>(request.width),
           static_cast<double>(request.height)};
  }
  if (request.cover) {
    const double scale = std::max(request.out_width / box.width, request.out_height / box.height);
    const double covered_width = request.out_width / scale;
    const double covered_height = request.out_height / scale;
    box = {box.left + (box.width - covered_width) / 2, box.top + (box.height - covered_height) / 2, covered_width,
           covered_height};
  }
  return true;
}

}  // namespace conquer
