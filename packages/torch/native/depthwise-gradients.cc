// Convolutions of each channel by itself in training, for JavaScript: libtorch's, but for some of their gradients.
#include "depthwise-gradients.h"
#include "depthwise-kernel.h"
#include "environment.h"
#include "plain-tensor.h"
#include "thread-pool.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace conquer {
namespace depthwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Maybe = c10::optional<at::Tensor>;

constexpr auto kLast = at::MemoryFormat::ChannelsLast;
constexpr int64_t kMost = 1 << 20;
// Parts of the images whose sums are put together in their order: the same bits whatever the threads.
constexpr int64_t kSums = 16;
// The side of kernels up to which oneDNN's gradients of weights take as long as their arithmetic.
constexpr int64_t kOneDnns = 3;

at::Tensor whole(const at::Tensor& tensor) { return tensor.to(at::kFloat).contiguous(kLast); }

}  // namespace

bool suits(int64_t channels) { return channels % kChannels == 0; }

namespace {

// maps (N, C, H, W), gradient (N, C, H', W') → (C, 1, kH, kW), float32. The same bits whatever the threads.
at::Tensor gradient_of_weights(const at::Tensor& given_maps, const at::Tensor& given_gradient, at::IntArrayRef weight, const Window& window) {
  const at::Tensor maps = whole(given_maps), gradient = whole(given_gradient);
  const Shape shape{maps.size(2), maps.size(3), maps.size(1), gradient.size(2), gradient.size(3), weight[2], weight[3], window.stride[0],
                    window.stride[1], window.padding[0], window.padding[1], window.dilation[0], window.dilation[1]};
  const int64_t images = maps.size(0), parts = std::min(images, kSums), numbers = shape.taps() * shape.channels;
  const at::Tensor sums = at::zeros({parts, shape.taps(), shape.channels}, at::kFloat);
  const float* const x = maps.data_ptr<float>();
  const float* const g = gradient.data_ptr<float>();
  float* const to = sums.data_ptr<float>();
  on_kept_threads(parts, [&](int64_t i) {
    depthwise::gradient_of_weights(x, g, shape, i * images / parts, (i + 1) * images / parts, to + i * numbers);
  });
  return sums.sum(0).t().contiguous().view(weight);
}

std::pair<at::Tensor, at::Tensor> by_operator(const at::Tensor& gradient, const at::Tensor& maps, const at::Tensor& weight, const Window& window,
                                              std::array<bool, 2> wanted) {
  const auto [of_maps, of_weight, of_bias] = at::convolution_backward(gradient, maps, weight, c10::nullopt, window.stride, window.padding, window.dilation,
                                                                      false, {0, 0}, weight.size(0), {wanted[0], wanted[1], false});
  return {of_maps, of_weight};
}

}  // namespace

std::pair<at::Tensor, at::Tensor> gradients(const at::Tensor& gradient, const at::Tensor& maps, const at::Tensor& weight, const Window& window,
                                            std::array<bool, 2> wanted) {
  const bool own_weights = wanted[1] && std::max(weight.size(2), weight.size(3)) > kOneDnns;
  const bool whole_maps = wanted[0] && maps.scalar_type() != at::kFloat && std::max(window.stride[0], window.stride[1]) > 1;
  std::pair<at::Tensor, at::Tensor> found = by_operator(gradient, maps, weight, window, {wanted[0] && !whole_maps, wanted[1] && !own_weights});
  if (own_weights) found.second = gradient_of_weights(maps, gradient, weight.sizes(), window);
  if (whole_maps) {
    found.first = by_operator(whole(gradient), whole(maps), weight.to(at::kFloat), window, {true, false}).first.to(maps.scalar_type());
  }
  return found;
}

namespace {

struct Convolution : public torch::autograd::Function<Convolution> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& weight, const Maybe& bias, const Window& window, bool half) {
    const at::ScalarType dtype = half ? at::kBFloat16 : at::kFloat;
    const at::Tensor maps = given.to(dtype);
    const at::Tensor cast = half ? weight.to(dtype, false, false, kLast) : weight;
    const Maybe shift = bias ? Maybe(bias->to(dtype)) : bias;
    context->save_for_backward({maps, weight});
    context->saved_data["stride"] = window.stride;
    context->saved_data["padding"] = window.padding;
    context->saved_data["dilation"] = window.dilation;
    context->saved_data["float"] = given.scalar_type() == at::kFloat;
    context->saved_data["wanted"] =
        std::vector<int64_t>{given.requires_grad() ? 1 : 0, weight.requires_grad() ? 1 : 0, bias && bias->requires_grad() ? 1 : 0};
    return at::convolution(maps, cast, shift, window.stride, window.padding, window.dilation, false, {0, 0}, weight.size(0));
  }

  static variable_list backward(AutogradContext* context, variable_list given) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &maps = saved[0], &weight = saved[1], &gradient = given[0];
    const Window window{context->saved_data["stride"].toIntVector(), context->saved_data["padding"].toIntVector(),
                        context->saved_data["dilation"].toIntVector()};
    const std::vector<int64_t> wanted = context->saved_data["wanted"].toIntVector();
    const at::ScalarType dtype = context->saved_data["float"].toBool() ? at::kFloat : at::kBFloat16;
    at::Tensor of_maps, of_weight, of_bias;
    const at::Tensor cast_weight = weight.to(maps.scalar_type()), cast_gradient = gradient.to(maps.scalar_type());
    // Gradients of gradients are those of the operators.
    const auto by = at::GradMode::is_enabled() ? &by_operator : &depthwise::gradients;
    std::tie(of_maps, of_weight) = by(cast_gradient, maps, cast_weight, window, {wanted[0] != 0, wanted[1] != 0});
    if (wanted[2] != 0) of_bias = gradient.to(at::kFloat).sum({0, 2, 3});
    const auto cast = [](const at::Tensor& tensor, at::ScalarType type) { return tensor.defined() ? tensor.to(type) : tensor; };
    return {cast(of_maps, dtype), cast(of_weight, at::kFloat), cast(of_bias, at::kFloat), {}, {}};
  }
};

void expect(bool fits, const char* what) {
  if (!fits) throw std::runtime_error(std::string("a convolution of each channel by itself: ") + what);
}

std::vector<int64_t> to_sides(napi_env env, napi_value value, int64_t least, const char* what) {
  const std::vector<int64_t> sides = to_int64_list(env, value, what);
  expect(sides.size() == 2, "expected two numbers each of strides, zeros and dilations");
  for (const int64_t side : sides) expect(side >= least && side < kMost, "strides and dilations must be 1 to 1,048,575, zeros 0 to as many");
  return sides;
}

// depthwiseConvolution(x (N, C, H, W) float32 or bfloat16, weight (C, 1, kH, kW) float32, bias (C) float32 or null, strides, zeros, dilations,
// bfloat16) → (N, C, H', W') float32, or bfloat16 where that is said, with gradients.
napi_value depthwise_convolution(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<7> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& weight = to_tensor(env, arguments[1]);
    const bool half = to_bool(env, arguments[6], "bfloat16");
    expect((is_plain(x, at::kFloat) || (half && is_plain(x, at::kBFloat16))) && x.dim() == 4 && x.numel() > 0,
           "the maps must be float32, or bfloat16 for bfloat16, with 4 dimensions on the CPU");
    expect(is_plain(weight, at::kFloat) && weight.dim() == 4 && weight.numel() > 0 && weight.size(1) == 1,
           "the weight must be float32 with 4 dimensions on the CPU, the second of them 1");
    expect(weight.size(0) == x.size(1) && suits(x.size(1)), "expected as many kernels as channels, a multiple of 8");
    Maybe bias;
    if (!is_null(env, arguments[2])) {
      bias = to_tensor(env, arguments[2]);
      expect(is_plain(*bias, at::kFloat) && bias->dim() == 1 && bias->size(0) == x.size(1), "the bias must be float32, a number for each channel");
    }
    const Window window{to_sides(env, arguments[3], 1, "strides"), to_sides(env, arguments[4], 0, "zeros"), to_sides(env, arguments[5], 1, "dilations")};
    for (size_t i = 0; i < 2; ++i) {
      const int64_t kernel = weight.size(static_cast<int64_t>(i) + 2), side = x.size(static_cast<int64_t>(i) + 2);
      expect(kernel < kMost && side < kMost, "the maps and the kernel must be below 1,048,576 pixels a side");
      expect(side + 2 * window.padding[i] >= window.dilation[i] * (kernel - 1) + 1, "the kernel must fit into the maps and their zeros");
    }
    FlushDenormals flush(Environment::of(env));
    return from_tensor(env, Convolution::apply(x, weight, bias, window, half));
  });
}

}  // namespace
}  // namespace depthwise

void register_depthwise(napi_env env, napi_value exports) { define(env, exports, "depthwiseConvolution", depthwise::depthwise_convolution); }

}  // namespace conquer
