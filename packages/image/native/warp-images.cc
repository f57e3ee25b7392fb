// Images read along affine maps.
#include <algorithm>
#include <cstring>

#include "environment.h"
#include "requests.h"
#include "warp.h"

namespace conquer {
namespace {

constexpr size_t kMatrixNumbers = 6;

class WarpTask : public Task {
 public:
  WarpTask(View<uint8_t> pixels, int side, View<float> matrices, int fill, int out_side, View<uint8_t> out, Buffers& buffers,
           size_t threads)
      : Task(matrices.length / kMatrixNumbers, threads),
        side_(side),
        matrices_(matrices.data, matrices.data + matrices.length),
        fill_(fill),
        out_side_(out_side),
        pixels_(buffers, pixels.data, checked(pixels, matrices, side, "pixels")),
        out_(buffers, nullptr, checked(out, matrices, out_side, "out")),
        done_(matrices.length / kMatrixNumbers, 0) {}

 protected:
  void process(size_t item, Workspace&) override {
    warp_rgb(pixels_.as() + item * bytes(side_), side_, matrices_.data() + item * kMatrixNumbers, fill_, out_side_,
             out_.as() + item * bytes(out_side_));
    done_[item] = 1;
  }

  void fill(napi_env env) override {
    uint8_t* const out = array<uint8_t>(env, 0, out_.size());
    // Of a cancelled job some images are not there.
    const size_t some = static_cast<size_t>(std::find(done_.begin(), done_.end(), 0) - done_.begin());
    if (some > 0) std::memcpy(out, out_.as(), some * bytes(out_side_));
  }

 private:
  static size_t bytes(int side) { return static_cast<size_t>(side) * static_cast<size_t>(side) * 3; }
  static size_t checked(const View<uint8_t>& images, const View<float>& matrices, int side, const char* name) {
    const size_t count = matrices.length / kMatrixNumbers;
    matrices.expect(count * kMatrixNumbers, "matrices");
    images.expect(count * bytes(side), name);
    return images.length;
  }

  const int side_;
  const std::vector<float> matrices_;
  const int fill_;
  const int out_side_;
  const Copy pixels_;
  const Copy out_;
  std::vector<uint8_t> done_;
};

// warpImages(pixels: Uint8Array, side, matrices: Float32Array, fill, outSide, out: Uint8Array, threads, job); see warp.h
napi_value warp_images(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<8> a(env, info);
    const View<uint8_t> pixels(env, a[0], "pixels");
    const int side = static_cast<int>(to_integer(env, a[1], 1, kMostSide, "side"));
    const View<float> matrices(env, a[2], "matrices");
    const int fill = static_cast<int>(to_integer(env, a[3], kFillBorder, 255, "fill"));
    const int out_side = static_cast<int>(to_integer(env, a[4], 1, kMostSide, "outSide"));
    const View<uint8_t> out(env, a[5], "out");
    const size_t threads = to_threads(env, a[6]);
    const double job = to_job(env, a[7]);
    auto task = std::make_unique<WarpTask>(pixels, side, matrices, fill, out_side, out, Environment::of(env).buffers(), threads);
    return Environment::of(env).submit(std::move(task), job, {a[5]});
  });
}

}  // namespace

void register_warp(napi_env env, napi_value exports) { define(env, exports, "warpImages", warp_images); }

}  // namespace conquer
