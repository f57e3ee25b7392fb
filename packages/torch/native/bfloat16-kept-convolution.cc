// Convolutions in bfloat16 whose weights were folded and packed once, without gradients, for JavaScript.
#include "bfloat16-arguments.h"
#include "bfloat16-maps.h"

#include <ATen/Functions.h>

namespace conquer {
namespace {

using namespace bfloat16;

// Whether each channel is convolved by itself, by a kernel of our own.
bool is_of_channels(at::IntArrayRef weight, const Geometry& by) {
  return by.groups == weight[0] && weight[1] == 1 && weight[2] == weight[3] && by.stride[0] == by.stride[1] && by.dilation[0] == 1 && by.dilation[1] == 1;
}

// packBfloat16Convolution(weight (O, I / groups, kH, kW) float32, geometry) → as convolveInBfloat16() takes it: packed for a product (int32), or with a column for each channel
// (float32), or rounded, where there is no kernel of our own for it.
napi_value pack_convolution(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor weight = to_tensor(env, arguments[0]).detach();
    const Geometry by = to_geometry(env, arguments[1]);
    expect(is_fast(), "this processor has no fast instructions for it");
    expect(is_plain(weight, at::kFloat, 4) && weight.numel() > 0, "the weight must be float32 with 4 dimensions on the CPU");
    if (is_of_channels(weight.sizes(), by)) {
      const int64_t channels = weight.size(0), taps = weight.size(2) * weight.size(3);
      const at::Tensor result = at::empty({taps, whole_panels(channels)}, at::kFloat);
      pack_channels(weight.contiguous().data_ptr<float>(), channels, taps, result.data_ptr<float>());
      return from_tensor(env, result);
    }
    const at::Tensor half = weight.to(at::kBFloat16).contiguous(kLast);
    return from_tensor(env, is_product(weight.sizes(), by) ? packed(half) : half);
  });
}

at::Tensor by_channels(const at::Tensor& x, const at::Tensor& weight, int64_t kernel, const std::vector<int64_t>& shape, const at::Tensor& bias,
                       const at::Tensor& residual, Limits limits, const Geometry& by) {
  const at::Tensor y = at::empty(shape, x.options().memory_format(kLast));
  const int64_t channels = shape[1], height = shape[2], width = shape[3];
  on_kept_threads(shape[0] * height, [&](int64_t line) {
    const ChannelMap map{halves(x) + line / height * x.size(2) * x.size(3) * channels, x.size(2), x.size(3), channels, kernel, by.stride[0], by.padding[0], by.padding[1]};
    const int64_t at = line * width * channels;
    const Finish finish{floats(bias), residual.defined() ? halves(residual) + at : nullptr, limits};
    each_channel(map, line % height, width, weight.data_ptr<float>(), finish, halves(y) + at);
  });
  return y;
}

// convolveInBfloat16(x (B, I, H, W) float32 or bfloat16, weight of packBfloat16Convolution(), [O, kH, kW], bias (O) float32 or null, residual (B, O, H', W') bfloat16 or null,
// least, most, geometry) → (B, O, H', W') bfloat16, channels_last: the convolution, its bias and the residual, kept from `least` to `most`. Without gradients.
napi_value convolve_in_bfloat16(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<8> arguments(env, info);
    expect(is_fast(), "this processor has no fast instructions for it");
    const at::Tensor x = to_tensor(env, arguments[0]).detach(), weight = to_tensor(env, arguments[1]).detach();
    const std::vector<int64_t> sizes = to_int64_list(env, arguments[2], "the outputs and the kernel's sides");
    const Geometry by = to_geometry(env, arguments[7]);
    expect(sizes.size() == 3, "expected how many outputs there are, and the kernel's height and width");
    for (const int64_t size : sizes) expect(size >= 1 && size < kMost, "outputs and the kernel's sides must be 1 to 1,048,575");
    expect(x.dim() == 4 && x.size(1) % by.groups == 0, "the maps must have 4 dimensions, their channels a multiple of the groups");
    const int64_t inputs = x.size(1) / by.groups, outputs = sizes[0], taps = sizes[1] * sizes[2];
    const std::vector<int64_t> whole{outputs, inputs, sizes[1], sizes[2]};
    const std::vector<int64_t> shape = shape_of_outputs(x, whole, by);
    const at::Tensor bias = to_numbers(env, arguments[3], outputs, "the bias must be float32, a number for each output");
    const at::Tensor residual = to_residual(env, arguments[4], shape);
    const Limits limits{static_cast<float>(to_double(env, arguments[5], "least")), static_cast<float>(to_double(env, arguments[6], "most"))};
    FlushDenormals flush(Environment::of(env));
    const at::NoGradGuard no_grad;
    const at::Tensor half = x.to(at::kBFloat16).contiguous(kLast);
    if (is_plain(weight, at::kInt, 2)) {
      expect(weight.is_contiguous() && is_product(whole, by) && weight.size(0) == whole_panels(outputs) && weight.size(1) == taps * inputs / 2,
             "packed weights must be of these outputs, maps and windows");
      return from_tensor(env, by_product(half, weight, {sizes[1], sizes[2]}, shape, bias, residual, limits, by));
    }
    if (is_plain(weight, at::kFloat, 2)) {
      expect(weight.is_contiguous() && is_of_channels(whole, by) && weight.size(0) == taps && weight.size(1) == whole_panels(outputs),
             "weights of each channel must be of these maps and windows, of one step both ways, undilated");
      return from_tensor(env, by_channels(half, weight, sizes[1], shape, bias, residual, limits, by));
    }
    expect(is_plain(weight, at::kBFloat16, 4) && weight.sizes() == at::IntArrayRef(whole), "the weight must be packed, or bfloat16 of these sizes");
    expect(by.is_even(), "without a kernel of our own there must be as many zeros before the maps as behind them");
    return from_tensor(env, by_operator(half, weight, bias, residual, limits, by));
  });
}

}  // namespace

void register_bfloat16_kept_convolution(napi_env env, napi_value exports) {
  define(env, exports, "packBfloat16Convolution", pack_convolution);
  define(env, exports, "convolveInBfloat16", convolve_in_bfloat16);
}

}  // namespace conquer
