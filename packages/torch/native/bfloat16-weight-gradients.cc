// The gradients of a convolution's weights in bfloat16, summed in float32: oneDNN sums them slower than it convolves, and rounds them.
#include "bfloat16-kernel.h"
#include "bfloat16-windows.h"

#include <ATen/ops/empty.h>

namespace conquer {
namespace bfloat16 {
namespace {

// The weights' gradient (outputs, taps, inputs) in float32: of each tap the product of the maps' gradient with what the tap sees.
at::Tensor gradient_by_taps(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gradient, const Geometry& by) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1), taps = weight.size(2) * weight.size(3);
  const int64_t count = gradient.numel() / outputs, threads = at::get_num_threads();
  // Threads share the channels, of which each has to have some; what is left of them the rows.
  constexpr int64_t kChannelsEach = 64;
  const bool splits_outputs = outputs >= inputs;
  const int64_t channels = splits_outputs ? outputs : inputs;
  const int64_t parts = std::max<int64_t>(1, std::min(threads, channels / kChannelsEach));
  const int64_t shares = std::max<int64_t>(1, std::min({threads / parts, count / ProductOfRows::kMostRows, int64_t{128}}));
  const int64_t unit = kChannels, size = ((channels + parts - 1) / parts + unit - 1) / unit * unit;
  const int64_t share = ((count + shares - 1) / shares + 1) / 2 * 2;
  const at::Tensor sums = at::empty({shares, outputs, taps, inputs}, at::kFloat);
  const Windows windows(x, weight.sizes().slice(2), gradient, by);
  const uint16_t* const maps = halves(gradient);
  const std::vector<uint16_t> zeros(static_cast<size_t>(std::max(outputs, inputs)), 0);
  on_kept_threads(parts * shares, [&](int64_t piece) {
    const int64_t from = piece % parts * size, to = std::min(channels, from + size);
    if (from >= to) return;
    const Range a = splits_outputs ? Range{from, to} : Range{0, outputs}, b = splits_outputs ? Range{0, inputs} : Range{from, to};
    const int64_t begin = piece / parts * share, end = std::min(count, begin + share);
    float* const own = sums.data_ptr<float>() + piece / parts * outputs * taps * inputs + a.begin * taps * inputs + b.begin;
    ProductOfRows product(a, b);
    std::vector<const uint16_t*> of_a, of_b;
    for (int64_t first = begin; first < end; first += ProductOfRows::kMostRows) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        of_a.clear();
        of_b.clear();
        windows.rows(first, std::min(ProductOfRows::kMostRows, end - first), tap, [&](int64_t i, const uint16_t* row) {
          of_a.push_back(maps + (first + i) * outputs);
          of_b.push_back(row);
        });
        if (of_a.size() % 2 == 1) {
          of_a.push_back(zeros.data());
          of_b.push_back(zeros.data());
        }
        product.add(of_a.data(), of_b.data(), static_cast<int64_t>(of_a.size()), first == begin, own + tap * inputs, taps * inputs);
      }
    }
  });
  return shares == 1 ? sums[0] : sums.sum(0);
}

// The same where the maps have no multiple of kChannels, as a network's images: the windows are copied, each into a row.
at::Tensor gradient_by_windows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gradient, const Geometry& by) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1), taps = weight.size(2) * weight.size(3), depth = taps * inputs;
  const int64_t unit = kChannels, width = (depth + unit - 1) / unit * unit;
  const int64_t count = gradient.numel() / outputs;
  const int64_t shares = std::max<int64_t>(1, std::min({int64_t{at::get_num_threads()}, count / ProductOfRows::kMostRows, int64_t{128}}));
  const int64_t share = ((count + shares - 1) / shares + 1) / 2 * 2;
  const at::Tensor sums = at::empty({shares, outputs, width}, at::kFloat);
  const Windows windows(x, weight.sizes().slice(2), gradient, by);
  const uint16_t* const maps = halves(gradient);
  const std::vector<uint16_t> zeros(static_cast<size_t>(outputs), 0);
  on_kept_threads(shares, [&](int64_t piece) {
    const int64_t begin = piece * share, end = std::min(count, begin + share);
    ProductOfRows product({0, outputs}, {0, width});
    std::vector<uint16_t> copies(static_cast<size_t>(ProductOfRows::kMostRows * width), 0);
    std::vector<const uint16_t*> of_a(ProductOfRows::kMostRows), of_b(ProductOfRows::kMostRows);
    for (int64_t first = begin; first < end; first += ProductOfRows::kMostRows) {
      const int64_t some = std::min(ProductOfRows::kMostRows, end - first), even = (some + 1) / 2 * 2;
      windows.copy(first, some, copies.data(), width);
      for (int64_t i = 0; i < even; ++i) {
        of_a[static_cast<size_t>(i)] = i < some ? maps + (first + i) * outputs : zeros.data();
        of_b[static_cast<size_t>(i)] = copies.data() + i * width;
      }
      product.add(of_a.data(), of_b.data(), even, first == begin, sums.data_ptr<float>() + piece * outputs * width, width);
    }
  });
  return (shares == 1 ? sums[0] : sums.sum(0)).narrow(1, 0, depth).contiguous();
}

}  // namespace

at::Tensor gradient_of_weights(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gradient, const Geometry& by) {
  return weight.size(1) % kChannels == 0 ? gradient_by_taps(x, weight, gradient, by) : gradient_by_windows(x, weight, gradient, by);
}

}  // namespace bfloat16
}  // namespace conquer
