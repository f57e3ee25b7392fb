// Convolutions in bfloat16 for training, with what lies around them, for JavaScript: the statistics of a frozen BatchNorm, a shortcut's sum and
// ReLU. By operators each of these passes over the maps or the weights, and the weights' gradients, which oneDNN sums slower than it convolves, are
// rounded to bfloat16 and copied twice. Here they are summed in float32.
#include "bfloat16-arguments.h"
#include "bfloat16-maps.h"
#include "depthwise-gradients.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace conquer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using namespace bfloat16;

// So many sums of a map's rows, put together in their order: the same bits whatever the threads.
constexpr int64_t kSums = 16;

// What an autograd function takes in place of an undefined tensor.
using Maybe = c10::optional<at::Tensor>;

struct HalfConvolution : public torch::autograd::Function<HalfConvolution> {
  // gamma, beta, mean, variance: a frozen BatchNorm's, or all undefined; residual: undefined, or bfloat16 in the output's shape, channels_last.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const Maybe& given_bias, const Maybe& given_gamma,
                            const Maybe& given_beta, const Maybe& given_mean, const Maybe& given_variance, double eps, const Maybe& added, bool relu,
                            at::IntArrayRef shape, const Geometry& by) {
    const auto of = [](const Maybe& given) { return given ? *given : at::Tensor(); };
    const at::Tensor bias = of(given_bias), gamma = of(given_gamma), beta = of(given_beta), mean = of(given_mean), variance = of(given_variance);
    const at::Tensor residual = of(added);
    const at::Tensor half = x.to(at::kBFloat16).contiguous(kLast);
    const int64_t outputs = weight.size(0), inputs = weight.size(1), taps = weight.size(2) * weight.size(3);
    at::Tensor root, scale, shift = bias;
    if (mean.defined()) {
      root = variance.add(eps).rsqrt();
      scale = gamma.defined() ? gamma.mul(root) : root;
      const at::Tensor centre = bias.defined() ? bias.sub(mean) : mean.neg();
      shift = beta.defined() ? at::addcmul(beta, centre, scale) : centre.mul(scale);
    }
    at::Tensor folded = at::empty(weight.sizes(), weight.options().dtype(at::kBFloat16).memory_format(kLast));
    const at::Tensor plain = weight.contiguous();
    in_pieces(outputs, pieces_of(weight.numel()), 1, [&](int64_t begin, int64_t end) {
      bfloat16::fold_weights(floats(plain), floats(scale), begin, end, inputs, taps, halves(folded));
    });
    const Limits limits = relu ? Limits{0} : Limits{};
    const at::Tensor y = is_product(weight.sizes(), by) ? by_product(half, packed(folded), weight.sizes().slice(2), shape, shift, residual, limits, by)
                                                         : by_operator(half, folded, shift, residual, limits, by);
    context->save_for_backward({half, plain, folded, bias, mean, root, scale, relu ? y : at::Tensor()});
    context->saved_data["stride"] = by.stride;
    context->saved_data["padding"] = by.padding;
    context->saved_data["dilation"] = by.dilation;
    context->saved_data["groups"] = by.groups;
    context->saved_data["float"] = x.scalar_type() == at::kFloat;
    std::vector<bool> wanted;
    for (const at::Tensor* each : {&x, &weight, &bias, &gamma, &beta, &residual}) wanted.push_back(each->defined() && each->requires_grad());
    context->saved_data["wanted"] = std::vector<int64_t>(wanted.begin(), wanted.end());
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &folded = saved[2], &bias = saved[3], &mean = saved[4], &root = saved[5], &scale = saved[6];
    const at::Tensor& y = saved[7];
    const std::vector<int64_t> wanted = context->saved_data["wanted"].toIntVector();
    const std::vector<int64_t> zeros = context->saved_data["padding"].toIntVector();
    const Geometry by{context->saved_data["stride"].toIntVector(), zeros, zeros, context->saved_data["dilation"].toIntVector(),
                      context->saved_data["groups"].toInt()};
    const bool of_shift = wanted[2] != 0 || wanted[3] != 0 || wanted[4] != 0;
    at::Tensor gradient = gradients[0].to(at::kBFloat16).contiguous(kLast);
    const auto [masked, sums] = of_finish(gradient, y, of_shift);
    at::Tensor of_x, of_weight, of_scale;
    if (wanted[0] != 0) {
      const bool alone = by_itself(x, folded, by);
      const bool by_rows = is_product(weight.sizes(), by) && by.stride[0] == 1 && by.stride[1] == 1 && x.size(1) % bfloat16::kChannels == 0;
      of_x = alone     ? depthwise::gradients(masked, x, folded, {by.stride, by.padding, by.dilation}, {true, false}).first
             : by_rows ? gradient_of_maps(masked, folded, x.sizes(), by)
                       : std::get<0>(at::convolution_backward(masked, x, folded, c10::nullopt, by.stride, by.padding, by.dilation, false, {0, 0}, by.groups,
                                                            {true, false, false}));
      if (context->saved_data["float"].toBool()) of_x = of_x.to(at::kFloat);
    }
    if (wanted[1] != 0 || wanted[3] != 0) std::tie(of_weight, of_scale) = of_weights(x, weight, folded, scale, masked, by);
    // y = conv(x, w · scale) + (beta + (bias - mean) · scale)
    const at::Tensor centre = !mean.defined() ? at::Tensor() : bias.defined() ? bias.sub(mean) : mean.neg();
    at::Tensor of_gamma, of_bias;
    if (wanted[3] != 0) of_gamma = of_scale.add(sums.mul(centre)).mul(root);
    if (wanted[2] != 0) of_bias = scale.defined() ? sums.mul(scale) : sums;
    const at::Tensor none;
    return {of_x,  wanted[1] != 0 ? of_weight : none, of_bias, of_gamma, wanted[4] != 0 ? sums : none, none, none, none,
            wanted[5] != 0 ? masked : none, none, none, none};
  }

 private:
  // Whether each channel has a kernel of its own, and no other.
  static bool by_itself(const at::Tensor& x, const at::Tensor& weight, const Geometry& by) {
    return by.groups > 1 && by.groups == x.size(1) && weight.size(0) == by.groups && depthwise::suits(by.groups);
  }

  // The gradient where y is above 0 (everywhere, of no y), and its sums over each channel where they are asked for.
  static std::pair<at::Tensor, at::Tensor> of_finish(const at::Tensor& gradient, const at::Tensor& y, bool with_sums) {
    if (!y.defined() && !with_sums) return {gradient, {}};
    const int64_t channels = gradient.size(1), rows = gradient.numel() / std::max<int64_t>(1, channels);
    const at::Tensor masked = y.defined() ? at::empty_like(gradient) : gradient;
    const at::Tensor sums = with_sums ? at::zeros({kSums, channels}, at::kFloat) : at::Tensor();
    const int64_t size = (rows + kSums - 1) / kSums;
    on_kept_threads(kSums, [&](int64_t i) {
      const int64_t begin = std::min(rows, i * size), end = std::min(rows, begin + size);
      bfloat16::gradient_of_relu(halves(gradient) + begin * channels, y.defined() ? halves(y) + begin * channels : nullptr, end - begin, channels,
                                 y.defined() ? halves(masked) + begin * channels : nullptr,
                                 with_sums ? sums.data_ptr<float>() + i * channels : nullptr);
    });
    return {masked, with_sums ? sums.sum(0) : at::Tensor()};
  }

  // Of the weights, and of the numbers that they were multiplied by (undefined where there are none).
  static std::pair<at::Tensor, at::Tensor> of_weights(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& folded, const at::Tensor& scale,
                                                      const at::Tensor& gradient, const Geometry& by) {
    const int64_t outputs = weight.size(0), inputs = weight.size(1), taps = weight.size(2) * weight.size(3);
    at::Tensor sums;
    if (by_itself(x, folded, by)) {
      sums = depthwise::gradients(gradient, x, folded, {by.stride, by.padding, by.dilation}, {false, true}).second;
      sums = sums.permute({0, 2, 3, 1}).to(at::kFloat).contiguous();
    } else if (by.groups > 1) {
      sums = std::get<1>(at::convolution_backward(gradient, x, folded, c10::nullopt, by.stride, by.padding, by.dilation, false, {0, 0}, by.groups,
                                                  {false, true, false}));
      sums = sums.permute({0, 2, 3, 1}).to(at::kFloat).contiguous();
    } else {
      sums = bfloat16::gradient_of_weights(x, weight, gradient, by);
    }
    const at::Tensor of_weight = at::empty_like(weight);
    const at::Tensor of_scale = scale.defined() ? at::empty({outputs}, at::kFloat) : at::Tensor();
    in_pieces(outputs, pieces_of(weight.numel()), 1, [&](int64_t begin, int64_t end) {
      bfloat16::unfold_gradient(floats(sums), floats(weight), floats(scale), begin, end, inputs, taps, of_weight.data_ptr<float>(),
                                scale.defined() ? of_scale.data_ptr<float>() : nullptr);
    });
    return {of_weight, of_scale};
  }
};

// trainsInBfloat16() → whether bfloat16Convolution() is for this processor.
napi_value trains_in_bfloat16(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_bool(env, is_fast()); });
}

// bfloat16Convolution(x (B, I, H, W) float32 or bfloat16, weight (O, I / groups, kH, kW), bias, gamma, beta, mean, variance: (O) or null, eps,
// residual (B, O, H', W') bfloat16 or null, relu, geometry) → (B, O, H', W') bfloat16, channels_last, with gradients:
// relu(BatchNorm(convolution) + residual), of the statistics mean and variance, where these are given.
napi_value bfloat16_convolution(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<11> arguments(env, info);
    expect(is_fast(), "this processor has no fast instructions for it");
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& weight = to_tensor(env, arguments[1]);
    expect(is_plain(weight, at::kFloat, 4) && weight.numel() > 0, "the weight must be float32 with 4 dimensions on the CPU");
    const int64_t outputs = weight.size(0);
    const Geometry by = to_geometry(env, arguments[10]);
    expect(outputs % bfloat16::kChannels == 0, "the output's channels must be a multiple of 32");
    expect(by.is_even(), "there must be as many zeros before the maps as behind them");
    const std::vector<int64_t> shape = shape_of_outputs(x, weight.sizes(), by);
    const at::Tensor bias = to_numbers(env, arguments[2], outputs, "the bias must be float32, a number for each output");
    const at::Tensor gamma = to_numbers(env, arguments[3], outputs, "gamma must be float32, a number for each output");
    const at::Tensor beta = to_numbers(env, arguments[4], outputs, "beta must be float32, a number for each output");
    const at::Tensor mean = to_numbers(env, arguments[5], outputs, "the mean must be float32, a number for each output");
    const at::Tensor variance = to_numbers(env, arguments[6], outputs, "the variance must be float32, a number for each output");
    expect(mean.defined() == variance.defined() && (mean.defined() || (!gamma.defined() && !beta.defined())),
           "mean and variance belong together, gamma and beta to them");
    const at::Tensor residual = to_residual(env, arguments[8], shape);
    FlushDenormals flush(Environment::of(env));
    const auto maybe = [](const at::Tensor& tensor) { return tensor.defined() ? Maybe(tensor) : Maybe(); };
    return from_tensor(env, HalfConvolution::apply(x, weight, maybe(bias), maybe(gamma), maybe(beta), maybe(mean), maybe(variance),
                                                   to_double(env, arguments[7], "eps"), maybe(residual), to_bool(env, arguments[9], "relu"), shape, by));
  });
}

}  // namespace

void register_bfloat16_convolution(napi_env env, napi_value exports) {
  define(env, exports, "trainsInBfloat16", trains_in_bfloat16);
  define(env, exports, "bfloat16Convolution", bfloat16_convolution);
}

}  // namespace conquer
