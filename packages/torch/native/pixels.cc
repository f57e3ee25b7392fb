// build: -O3
// Pixels as files hold them to images as networks take them, for JavaScript.
#include "environment.h"
#include "parallel.h"

#include <ATen/Functions.h>

#include <array>

namespace conquer {
namespace {

constexpr int64_t kChannels = 3;
constexpr int64_t kPieceBytes = 1 << 22;  // less is done before another thread has started

// b / 255, as a division of tensors rounds it.
const std::array<float, 256> fractions = [] {
  std::array<float, 256> values{};
  for (size_t byte = 0; byte < values.size(); ++byte) values[byte] = static_cast<float>(byte) / 255.0f;
  return values;
}();

// body(image) for each of `count` images of `area` pixels, on several threads where there is enough to do.
template <typename F>
void for_each_image(int64_t count, int64_t area, const F& body) {
  const int64_t images_a_piece = std::max<int64_t>(1, kPieceBytes / std::max<int64_t>(1, area * kChannels));
  in_parallel(count, images_a_piece, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) body(image);
  });
}

// imagesFromPixels(handle of uint8 (B, H, W, 3)) → float32 (B, 3, H, W) in [0, 1]. One pass; as operators it is three.
napi_value images_from_pixels(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const at::Tensor& pixels = to_tensor(env, Arguments<1>(env, info)[0]);
    if (pixels.dim() != 4 || pixels.size(3) != kChannels || pixels.scalar_type() != at::kByte || !pixels.device().is_cpu() ||
        !pixels.is_contiguous()) {
      throw std::runtime_error("pixels must be uint8 (B, H, W, 3), contiguous and on the CPU");
    }
    const int64_t count = pixels.size(0);
    const int64_t area = pixels.size(1) * pixels.size(2);
    at::Tensor images = at::empty({count, kChannels, pixels.size(1), pixels.size(2)}, at::TensorOptions().dtype(at::kFloat));
    const uint8_t* const from = pixels.data_ptr<uint8_t>();
    float* const to = images.data_ptr<float>();
    for_each_image(count, area, [&](int64_t image) {
      const uint8_t* pixel = from + image * area * kChannels;
      float* const plane = to + image * area * kChannels;
      for (int64_t i = 0; i < area; ++i, pixel += kChannels) {
        for (int64_t channel = 0; channel < kChannels; ++channel) plane[channel * area + i] = fractions[pixel[channel]];
      }
    });
    return from_tensor(env, std::move(images));
  });
}

// One image: each pixel (r, g, b) to M·(r, g, b) + k, at most 1 and at least 0. matrix: the rows of [M k], 3×4.
void mix(const float* __restrict from, const float* matrix, int64_t area, float* __restrict to) {
  for (int64_t channel = 0; channel < kChannels; ++channel, to += area) {
    const float* const row = matrix + 4 * channel;
    const float red = row[0], green = row[1], blue = row[2], constant = row[3];
    for (int64_t i = 0; i < area; ++i) {
      const float mixed = red * from[i] + green * from[area + i] + blue * from[2 * area + i] + constant;
      // NaN stays NaN.
      to[i] = mixed < 0 ? 0 : (mixed > 1 ? 1 : mixed);
    }
  }
}

// mixColors(handle of float32 (B, 3, H, W), matrices: Float32Array (B, 3, 4)) → float32 (B, 3, H, W)
napi_value mix_colors(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor& images = to_tensor(env, arguments[0]);
    const View<float> matrices(env, arguments[1], "matrices");
    if (images.dim() != 4 || images.size(1) != kChannels || images.scalar_type() != at::kFloat || !images.device().is_cpu() ||
        !images.is_contiguous()) {
      throw std::runtime_error("images must be float32 (B, 3, H, W), contiguous and on the CPU");
    }
    const int64_t count = images.size(0);
    matrices.expect(static_cast<size_t>(count) * 12, "matrices");
    const int64_t area = images.size(2) * images.size(3);
    at::Tensor mixed = at::empty(images.sizes(), images.options());
    const float* const from = images.data_ptr<float>();
    const float* const numbers = matrices.data;
    float* const to = mixed.data_ptr<float>();
    for_each_image(count, area, [&](int64_t image) {
      mix(from + image * area * kChannels, numbers + image * 12, area, to + image * area * kChannels);
    });
    return from_tensor(env, std::move(mixed));
  });
}

}  // namespace

void register_pixels(napi_env env, napi_value exports) {
  define(env, exports, "imagesFromPixels", images_from_pixels);
  define(env, exports, "mixColors", mix_colors);
}

}  // namespace conquer
