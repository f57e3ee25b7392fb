// Images whose pixels are there already, one after the other in an open file or in memory.
#include <algorithm>
#include <cmath>

#include "checksum.h"
#include "environment.h"
#include "image-file.h"
#include "requests.h"

namespace conquer {
namespace {

constexpr size_t kPlaceNumbers = 5;

// An image in a file or an array of pixels: height×width×3 bytes from `offset` on.
struct Place {
  size_t offset;
  int width, height;
  uint32_t checksum;
  bool verify;
};

// Where the pixels of images are: in an open file, or where there is none in `bytes`.
struct Pixels {
  int descriptor;
  Copy bytes;
};

class PixelsTask : public RequestsTask {
 public:
  PixelsTask(Pixels pixels, View<double> places, Requests requests, Buffers& buffers, size_t threads)
      : RequestsTask(std::move(requests), buffers, threads), pixels_(std::move(pixels)) {
    const size_t count = places.length / kPlaceNumbers;
    for (size_t i = 0; i < count; i++) {
      const double* n = places.data + kPlaceNumbers * i;
      const bool has_size = n[1] >= 1 && n[1] <= kMostWhole && n[2] >= 1 && n[2] <= kMostWhole &&
                            n[1] * n[2] <= static_cast<double>(kMostSide) * kMostSide;
      if (!(n[0] >= 0 && n[0] < 0x1p53 && has_size && n[3] >= 0 && n[3] < 0x1p32)) {
        throw std::invalid_argument("places: out of range");
      }
      places_.push_back({static_cast<size_t>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2]),
                         static_cast<uint32_t>(n[3]), n[4] != 0});
      const Place& place = places_.back();
      const size_t end = place.offset + static_cast<size_t>(place.width) * static_cast<size_t>(place.height) * 3;
      if (pixels_.descriptor < 0 && end > pixels_.bytes.size()) throw std::invalid_argument("places: outside of the pixels");
    }
  }

 protected:
  void process(size_t item, Workspace& space) override {
    outcome(item) = kDamaged;
    const Request& request = this->request(item);
    const Place& place = places_[item];
    uint8_t* out = this->out(item);
    Box box;
    if (!wanted_box(request, place.width, place.height, box)) {
      outcome(item) = kOther;
      return;
    }
    const size_t row_bytes = static_cast<size_t>(place.width) * 3;
    const auto [first, last] = Region(box.top, box.height, box.down, place.height);
    const auto [first_column, last_column] = Region(box.left, box.width, box.across, place.width);
    const size_t start = place.verify ? 0 : first * row_bytes;
    const size_t length = (place.verify ? place.height : last - first) * row_bytes;
    const uint8_t* bytes = pixels_.bytes.as() + place.offset + start;
    if (pixels_.descriptor >= 0) {
      if (space.file.size() < length + 1) space.file.resize(length + 1);
      if (!read_fully(pixels_.descriptor, space.file.data(), length, place.offset + start)) return;
      bytes = space.file.data();
    }
    if (place.verify && checksum(bytes, length) != place.checksum) return;

    const size_t out_bytes = static_cast<size_t>(request.out_width) * 3;
    const size_t rows = static_cast<size_t>(last - first);
    const uint8_t* row = bytes + (first * row_bytes - start) + static_cast<size_t>(first_column) * 3;
    // In whole pixels and of the size that is there, nothing is resized.
    if (box.left == std::floor(box.left) && box.top == std::floor(box.top) && box.width == request.out_width &&
        box.height == request.out_height && !request.flip) {
      row += (static_cast<size_t>(box.top) - first) * row_bytes + (static_cast<size_t>(box.left) - first_column) * 3;
      for (int y = 0; y < request.out_height; y++, row += row_bytes) std::memcpy(out + y * out_bytes, row, out_bytes);
      outcome(item) = kDone;
      return;
    }
    make_filter(request.kernel, box.left - first_column, box.left - first_column + box.width, last_column - first_column,
                request.out_width, request.flip, space.across);
    make_filter(request.kernel, box.top - first, box.top - first + box.height, last - first, request.out_height, false,
                space.down);
    if (space.rows.size() < rows * out_bytes + 1) space.rows.resize(rows * out_bytes + 1);
    for (size_t y = 0; y < rows; y++, row += row_bytes) {
      resize_row_rgb(row, space.across, space.rows.data() + y * out_bytes);
    }
    resize_columns(space.rows.data(), out_bytes, space.down, out);
    outcome(item) = kDone;
  }

 private:
  const Pixels pixels_;
  std::vector<Place> places_;
};

// readPixels(pixels, places: Float64Array, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, threads, job);
// pixels: a file's descriptor, which stays open until the promise is resolved, or a Uint8Array.
napi_value read_pixels(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    bool in_memory = false;
    check(napi_is_typedarray(env, a[0], &in_memory), "pixels: cannot be read");
    const View<uint8_t> bytes = in_memory ? View<uint8_t>(env, a[0], "pixels") : View<uint8_t>();
    const int descriptor = in_memory ? -1 : static_cast<int>(to_integer(env, a[0], 0, INT32_MAX, "pixels, a file's descriptor,"));
    const View<double> places(env, a[1], "places");
    const View<int32_t> numbers(env, a[2], "requests");
    const View<uint8_t> out(env, a[3], "out");
    const View<uint8_t> outcomes(env, a[4], "outcomes");
    const size_t threads = to_threads(env, a[5]);
    const double job = to_job(env, a[6]);
    Requests requests(numbers, outcomes.length, out, outcomes);
    places.expect(kPlaceNumbers * requests.requests.size(), "places");
    Buffers& buffers = Environment::of(env).buffers();
    Pixels pixels{descriptor, Copy(buffers, bytes.data, bytes.length)};
    auto task = std::make_unique<PixelsTask>(std::move(pixels), places, std::move(requests), buffers, threads);
    return Environment::of(env).submit(std::move(task), job, {a[3], a[4]});
  });
}

}  // namespace

void register_pixels(napi_env env, napi_value exports) { define(env, exports, "readPixels", read_pixels); }

}  // namespace conquer
