// Convolutions in bfloat16 for training, with what lies around them, for JavaScript: the statistics of a frozen BatchNorm, a shortcut's sum and
// ReLU. By operators each of these passes over the maps or the weights, and the weights' gradients, which oneDNN sums slower than it convolves, are
// rounded to bfloat16 and copied twice. Here they are summed in float32.
#include "bfloat16-kernel.h"
#include "bfloat16-windows.h"
#include "environment.h"
#include "plain-tensor.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace conquer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using bfloat16::floats;
using bfloat16::Geometry;
using bfloat16::halves;
using bfloat16::in_pieces;
using bfloat16::kLast;
using bfloat16::pieces_of;
using bfloat16::Windows;

// So many sums of a map's rows, put together in their order: the same bits whatever the threads.
constexpr int64_t kSums = 16;

// A window of one pixel without zeros around is a product of rows, with what follows in the same pass.
bool is_product(const at::Tensor& weight, const Geometry& by) {
  return by.groups == 1 && weight.size(2) == 1 && weight.size(3) == 1 && by.padding[0] == 0 && by.padding[1] == 0 &&
         weight.size(0) % bfloat16::kChannels == 0 && weight.size(1) % bfloat16::kChannels == 0;
}

// (rows, columns) in y's memory: the rows that rows(begin, count, to) tells, times packed weights.
template <typename Rows>
void in_products(int64_t count, int64_t depth, int64_t columns, const at::Tensor& packed, const bfloat16::Finish& finish, const Rows& rows, uint16_t* y) {
  constexpr int64_t kChunk = 6 * bfloat16::kRows;
  const int64_t chunks = (count + kChunk - 1) / kChunk, panels = columns / bfloat16::kChannels;
  // Columns in groups where there are few rows, so that no thread waits long for another's last piece.
  const int64_t wanted = std::max<int64_t>(1, std::min(panels, (8 * at::get_num_threads() + chunks - 1) / chunks));
  const int64_t group = (panels + wanted - 1) / wanted, groups = (panels + group - 1) / group;
  const uint32_t* const weights = reinterpret_cast<const uint32_t*>(packed.data_ptr<int32_t>());
  on_kept_threads(chunks * groups, [&](int64_t piece) {
    const int64_t begin = piece / groups * kChunk, some = std::min(kChunk, count - begin);
    const int64_t first = piece % groups * group * bfloat16::kChannels, last = std::min(columns, first + group * bfloat16::kChannels);
    const uint16_t* of[kChunk];
    rows(begin, some, of);
    for (int64_t i = some; i < kChunk; ++i) of[i] = of[0];
    bfloat16::Finish own = finish;
    if (own.residual != nullptr) own.residual += begin * columns;
    bfloat16::product(of, some, depth, weights, first, last, own, columns, y + begin * columns);
  });
}

// The convolution of bfloat16 maps, channels_last, by libtorch's operator, and what follows.
at::Tensor by_operator(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual, bool relu,
                       const Geometry& by) {
  const at::Tensor half_bias = bias.defined() ? bias.to(at::kBFloat16) : at::Tensor();
  const at::Tensor y = at::convolution(x, weight, half_bias, by.stride, by.padding, by.dilation, false, {0, 0}, by.groups).contiguous(kLast);
  if (!relu && residual.defined()) y.add_(residual);
  if (!relu) return y;
  const uint16_t* const others = residual.defined() ? halves(residual) : nullptr;
  in_pieces(y.numel(), pieces_of(y.numel()), 64, [&](int64_t begin, int64_t end) {
    bfloat16::add_and_relu(halves(y) + begin, others == nullptr ? nullptr : others + begin, end - begin);
  });
  return y;
}

// Folded weights (O, I, 1, 1) as by_product() takes them.
at::Tensor packed(const at::Tensor& folded) {
  const int64_t outputs = folded.size(0), inputs = folded.size(1);
  const at::Tensor result = at::empty({outputs, inputs / 2}, at::kInt);
  in_pieces(outputs, pieces_of(folded.numel()), bfloat16::kChannels, [&](int64_t begin, int64_t end) {
    bfloat16::pack_columns({halves(folded), inputs, outputs}, inputs, begin, end, reinterpret_cast<uint32_t*>(result.data_ptr<int32_t>()));
  });
  return result;
}

at::Tensor by_product(const at::Tensor& x, const at::Tensor& packed_weight, const at::Tensor& bias, const at::Tensor& residual, bool relu,
                      const Geometry& by) {
  const int64_t outputs = packed_weight.size(0), inputs = x.size(1);
  const int64_t height = (x.size(2) - 1) / by.stride[0] + 1, width = (x.size(3) - 1) / by.stride[1] + 1;
  const at::Tensor y = at::empty({x.size(0), outputs, height, width}, x.options().memory_format(kLast));
  const at::Tensor numbers = bias.defined() ? bias.contiguous() : bias;
  const bfloat16::Finish finish{floats(numbers), residual.defined() ? halves(residual) : nullptr, relu};
  const Windows windows(x, {1, 1}, y, by);
  in_products(x.size(0) * height * width, inputs, outputs, packed_weight, finish,
              [&](int64_t begin, int64_t count, const uint16_t** to) {
                windows.rows(begin, count, 0, [&](int64_t i, const uint16_t* row) { to[i] = row; });
              },
              halves(y));
  return y;
}

// What an autograd function takes in place of an undefined tensor.
using Maybe = c10::optional<at::Tensor>;

struct HalfConvolution : public torch::autograd::Function<HalfConvolution> {
  // gamma, beta, mean, variance: a frozen BatchNorm's, or all undefined; residual: undefined, or bfloat16 in the output's shape, channels_last.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const Maybe& given_bias, const Maybe& given_gamma,
                            const Maybe& given_beta, const Maybe& given_mean, const Maybe& given_variance, double eps, const Maybe& added, bool relu,
                            const Geometry& by) {
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
    const at::Tensor y = is_product(weight, by) ? by_product(half, packed(folded), shift, residual, relu, by)
                                                 : by_operator(half, folded, shift, residual, relu, by);
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
    const Geometry by{context->saved_data["stride"].toIntVector(), context->saved_data["padding"].toIntVector(),
                      context->saved_data["dilation"].toIntVector(), context->saved_data["groups"].toInt()};
    const bool of_shift = wanted[2] != 0 || wanted[3] != 0 || wanted[4] != 0;
    at::Tensor gradient = gradients[0].to(at::kBFloat16).contiguous(kLast);
    const auto [masked, sums] = of_finish(gradient, y, of_shift);
    at::Tensor of_x, of_weight, of_scale;
    if (wanted[0] != 0) {
      const bool by_rows = is_product(weight, by) && by.stride[0] == 1 && by.stride[1] == 1;
      of_x = by_rows ? of_product(masked, folded)
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
            wanted[5] != 0 ? masked : none, none, none};
  }

 private:
  // Of the maps, through a product of rows.
  static at::Tensor of_product(const at::Tensor& gradient, const at::Tensor& weight) {
    const int64_t outputs = weight.size(0), inputs = weight.size(1);
    const at::Tensor packed = at::empty({inputs, outputs / 2}, at::kInt);
    in_pieces(inputs, pieces_of(weight.numel()), bfloat16::kChannels, [&](int64_t begin, int64_t end) {
      bfloat16::pack_rows({halves(weight), inputs, outputs}, outputs, begin, end, reinterpret_cast<uint32_t*>(packed.data_ptr<int32_t>()));
    });
    const at::Tensor of_x = at::empty({gradient.size(0), inputs, gradient.size(2), gradient.size(3)}, gradient.options().memory_format(kLast));
    const uint16_t* const rows = halves(gradient);
    in_products(gradient.numel() / outputs, outputs, inputs, packed, {nullptr, nullptr, false},
                [&](int64_t begin, int64_t count, const uint16_t** to) {
                  for (int64_t i = 0; i < count; ++i) to[i] = rows + (begin + i) * outputs;
                },
                halves(of_x));
    return of_x;
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
    if (by.groups > 1) {
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

constexpr int64_t kMost = 1 << 20;

void expect(bool fits, const char* what) {
  if (!fits) throw std::runtime_error(std::string("a convolution in bfloat16: ") + what);
}

bool is_plain(const at::Tensor& tensor, at::ScalarType type, int64_t dims) {
  return conquer::is_plain(tensor, type) && tensor.dim() == dims;
}

// A number for each output, or undefined.
at::Tensor to_numbers(napi_env env, napi_value value, int64_t outputs, const char* what) {
  if (is_null(env, value)) return {};
  const at::Tensor numbers = to_tensor(env, value);
  expect(is_plain(numbers, at::kFloat, 1) && numbers.size(0) == outputs, what);
  return numbers.contiguous();
}

// [strides, zeros, dilations, groups]
Geometry to_geometry(napi_env env, napi_value value) {
  const std::vector<int64_t> given = to_int64_list(env, value, "strides, zeros, dilations and groups");
  expect(given.size() == 7, "expected two strides, counts of zeros and dilations each, and the groups");
  for (size_t i = 0; i < given.size(); ++i) {
    expect(given[i] >= (i == 2 || i == 3 ? 0 : 1) && given[i] < kMost, "strides, dilations and groups must be 1 to 1,048,575, zeros 0 to as many");
  }
  return {{given[0], given[1]}, {given[2], given[3]}, {given[4], given[5]}, given[6]};
}

// Of maps and weights of these sizes, (O, I / groups, kH, kW), if there are any.
std::vector<int64_t> shape_of_outputs(const at::Tensor& x, at::IntArrayRef weight, const Geometry& by) {
  expect(is_plain(x, at::kFloat, 4) || is_plain(x, at::kBFloat16, 4), "the maps must be float32 or bfloat16 with 4 dimensions on the CPU");
  expect(weight[0] % bfloat16::kChannels == 0 && weight[0] % by.groups == 0, "the output's channels must be a multiple of 32, and of the groups");
  expect(x.numel() > 0 && x.size(1) / by.groups == weight[1] && x.size(1) % by.groups == 0, "the maps' channels must be the weights'");
  std::vector<int64_t> shape{x.size(0), weight[0]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t kernel = weight[i + 2], side = x.size(static_cast<int64_t>(i) + 2);
    expect(kernel < kMost && side < kMost, "the maps and the kernel must be below 1,048,576 pixels a side");
    const int64_t room = side + 2 * by.padding[i] - by.dilation[i] * (kernel - 1) - 1;
    expect(room >= 0, "the kernel must fit into the maps and their zeros");
    shape.push_back(room / by.stride[i] + 1);
  }
  return shape;
}

at::Tensor to_residual(napi_env env, napi_value value, const std::vector<int64_t>& shape) {
  if (is_null(env, value)) return {};
  const at::Tensor& added = to_tensor(env, value);
  expect(is_plain(added, at::kBFloat16, 4) && added.sizes() == at::IntArrayRef(shape), "what is added must be bfloat16 in the output's shape");
  return added.contiguous(kLast);
}

// trainsInBfloat16() → whether bfloat16Convolution() is for this processor.
napi_value trains_in_bfloat16(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_bool(env, bfloat16::is_fast()); });
}

// bfloat16Convolution(x (B, I, H, W) float32 or bfloat16, weight (O, I / groups, kH, kW), bias, gamma, beta, mean, variance: (O) or null, eps,
// residual (B, O, H', W') bfloat16 or null, relu, [strides, zeros, dilations, groups]) → (B, O, H', W') bfloat16, channels_last, with gradients:
// relu(BatchNorm(convolution) + residual), of the statistics mean and variance, where these are given.
napi_value bfloat16_convolution(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<11> arguments(env, info);
    expect(bfloat16::is_fast(), "this processor has no fast instructions for it");
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& weight = to_tensor(env, arguments[1]);
    expect(is_plain(weight, at::kFloat, 4) && weight.numel() > 0, "the weight must be float32 with 4 dimensions on the CPU");
    const int64_t outputs = weight.size(0);
    const Geometry by = to_geometry(env, arguments[10]);
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
                                                   to_double(env, arguments[7], "eps"), maybe(residual), to_bool(env, arguments[9], "relu"), by));
  });
}

// packBfloat16Product(weight (O, I, 1, 1) float32) → as convolveInBfloat16() takes it, of windows of one pixel.
napi_value pack_product(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const at::Tensor weight = to_tensor(env, Arguments<1>(env, info)[0]).detach();
    expect(bfloat16::is_fast(), "this processor has no fast instructions for it");
    expect(is_plain(weight, at::kFloat, 4) && weight.numel() > 0 && is_product(weight, {{1, 1}, {0, 0}, {1, 1}, 1}),
           "packed weights must be float32 (O, I, 1, 1), O and I multiples of 32");
    return from_tensor(env, packed(weight.to(at::kBFloat16).contiguous(kLast)));
  });
}

// convolveInBfloat16(x, weight bfloat16 (O, I / groups, kH, kW) or packed, bias (O) float32, residual or null, relu, geometry) → as bfloat16Convolution(),
// without gradients.
napi_value convolve_in_bfloat16(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<6> arguments(env, info);
    expect(bfloat16::is_fast(), "this processor has no fast instructions for it");
    const at::Tensor x = to_tensor(env, arguments[0]).detach(), weight = to_tensor(env, arguments[1]).detach();
    const Geometry by = to_geometry(env, arguments[5]);
    const bool is_packed = is_plain(weight, at::kInt, 2) && weight.is_contiguous();
    expect(is_packed || (is_plain(weight, at::kBFloat16, 4) && weight.numel() > 0), "the weight must be bfloat16 with 4 dimensions on the CPU, or packed");
    const std::vector<int64_t> sizes = is_packed ? std::vector<int64_t>{weight.size(0), 2 * weight.size(1), 1, 1} : weight.sizes().vec();
    expect(!is_packed || (sizes[1] > 0 && sizes[1] % bfloat16::kChannels == 0 && by.padding[0] == 0 && by.padding[1] == 0 && by.groups == 1),
           "packed weights are of windows of one pixel without zeros");
    const std::vector<int64_t> shape = shape_of_outputs(x, sizes, by);
    const at::Tensor bias = to_numbers(env, arguments[2], sizes[0], "the bias must be float32, a number for each output");
    const at::Tensor residual = to_residual(env, arguments[3], shape);
    const bool relu = to_bool(env, arguments[4], "relu");
    FlushDenormals flush(Environment::of(env));
    const at::NoGradGuard no_grad;
    const at::Tensor half = x.to(at::kBFloat16).contiguous(kLast);
    return from_tensor(env, is_packed ? by_product(half, weight, bias, residual, relu, by) : by_operator(half, weight, bias, residual, relu, by));
  });
}

}  // namespace

void register_bfloat16_convolution(napi_env env, napi_value exports) {
  define(env, exports, "trainsInBfloat16", trains_in_bfloat16);
  define(env, exports, "bfloat16Convolution", bfloat16_convolution);
  define(env, exports, "packBfloat16Product", pack_product);
  define(env, exports, "convolveInBfloat16", convolve_in_bfloat16);
}

}  // namespace conquer
