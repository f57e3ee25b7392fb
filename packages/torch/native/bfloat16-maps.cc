#include "bfloat16-maps.h"

#include <ATen/Functions.h>

namespace conquer {
namespace bfloat16 {
namespace {

// Rows whose pieces are looked up at a time.
constexpr int64_t kChunk = 6 * kRows;
constexpr int64_t kMostTaps = 1024;

// What the windows see, times packed weights.
void multiply(const Windows& windows, const at::Tensor& y, int64_t taps, int64_t depth, const at::Tensor& packed, const Finish& finish) {
  const int64_t columns = y.size(1), count = y.numel() / columns;
  const int64_t chunks = (count + kChunk - 1) / kChunk, panels = (columns + kColumns - 1) / kColumns;
  // Columns in groups where there are few rows, so that no thread waits long for another's last piece.
  const int64_t wanted = std::max<int64_t>(1, std::min(panels, (8 * at::get_num_threads() + chunks - 1) / chunks));
  const int64_t group = (panels + wanted - 1) / wanted, groups = (panels + group - 1) / group;
  const uint32_t* const weights = reinterpret_cast<const uint32_t*>(packed.data_ptr<int32_t>());
  const std::vector<uint16_t> zeros(static_cast<size_t>(depth), 0);
  // In this order tiles see zeros together, and leave them out.
  const std::vector<int32_t> order = windows.alike(y.size(0));
  on_kept_threads(chunks * groups, [&](int64_t piece) {
    const int64_t begin = piece / groups * kChunk, some = std::min(kChunk, count - begin);
    const int64_t first = piece % groups * group * kColumns, last = std::min(columns, first + group * kColumns);
    thread_local std::vector<const uint16_t*> rows;
    rows.assign(static_cast<size_t>(taps * kChunk), zeros.data());
    const bool is_ordered = order.empty();
    const int32_t* const places = is_ordered ? nullptr : order.data() + begin;
    windows.rows_of(places, begin, some, kChunk, rows.data());
    Finish own = finish;
    if (is_ordered && own.residual != nullptr) own.residual += begin * columns;
    const Outputs to{halves(y) + (is_ordered ? begin * columns : 0), columns, columns, places};
    product({rows.data(), kChunk, some, taps, depth, is_ordered ? nullptr : zeros.data()}, weights, first, last, own, to);
  });
}

}  // namespace

bool is_product(at::IntArrayRef weight, const Geometry& by) { return by.groups == 1 && weight[1] % 2 == 0 && weight[2] * weight[3] <= kMostTaps; }

at::Tensor packed(const at::Tensor& folded) {
  const int64_t outputs = folded.size(0), depth = folded.numel() / outputs;
  const at::Tensor result = at::empty({whole_panels(outputs), depth / 2}, at::kInt);
  in_pieces(result.size(0), pieces_of(folded.numel()), kColumns, [&](int64_t begin, int64_t end) {
    pack_columns({halves(folded), depth, outputs}, depth, begin, end, reinterpret_cast<uint32_t*>(result.data_ptr<int32_t>()));
  });
  return result;
}

at::Tensor by_product(const at::Tensor& x, const at::Tensor& packed_weight, at::IntArrayRef kernel, at::IntArrayRef shape, const at::Tensor& bias,
                      const at::Tensor& residual, Limits limits, const Geometry& by) {
  const at::Tensor y = at::empty(shape, x.options().memory_format(kLast));
  const at::Tensor numbers = bias.defined() ? bias.contiguous() : bias;
  const Finish finish{floats(numbers), residual.defined() ? halves(residual) : nullptr, limits};
  multiply(Windows(x, kernel, y, by), y, kernel[0] * kernel[1], x.size(1), packed_weight, finish);
  return y;
}

at::Tensor by_operator(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual, Limits limits, const Geometry& by) {
  const at::Tensor half_bias = bias.defined() ? bias.to(at::kBFloat16) : at::Tensor();
  const at::Tensor y = at::convolution(x, weight, half_bias, by.stride, by.padding, by.dilation, false, {0, 0}, by.groups).contiguous(kLast);
  if (!limits.any() && !residual.defined()) return y;
  const uint16_t* const others = residual.defined() ? halves(residual) : nullptr;
  in_pieces(y.numel(), pieces_of(y.numel()), 64, [&](int64_t begin, int64_t end) {
    add_and_limit(halves(y) + begin, others == nullptr ? nullptr : others + begin, end - begin, limits);
  });
  return y;
}

at::Tensor gradient_of_maps(const at::Tensor& gradient, const at::Tensor& folded, at::IntArrayRef shape, const Geometry& by) {
  const int64_t outputs = folded.size(0), inputs = folded.size(1), taps = folded.size(2) * folded.size(3), depth = taps * outputs;
  const at::Tensor packed_weight = at::empty({inputs, depth / 2}, at::kInt);
  // A pixel's gradient comes from the windows that saw it, the last tap from the first of them.
  in_pieces(inputs, pieces_of(folded.numel()), kChannels, [&](int64_t begin, int64_t end) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      uint32_t* const to = reinterpret_cast<uint32_t*>(packed_weight.data_ptr<int32_t>()) + (taps - 1 - tap) * (outputs / 2) * kColumns;
      pack_rows({halves(folded) + tap * inputs, taps * inputs, outputs}, outputs, depth, begin, end, to);
    }
  });
  Geometry seen = by;
  for (size_t i = 0; i < 2; ++i) seen.padding[i] = by.dilation[i] * (folded.size(static_cast<int64_t>(i) + 2) - 1) - by.padding[i];
  const at::Tensor of_x = at::empty(shape, gradient.options().memory_format(kLast));
  multiply(Windows(gradient, folded.sizes().slice(2), of_x, seen), of_x, taps, outputs, packed_weight, {});
  return of_x;
}

}  // namespace bfloat16
}  // namespace conquer
