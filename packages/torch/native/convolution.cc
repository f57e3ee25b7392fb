// Convolutions for inference with what follows them (bias, a shortcut's sum, limits) in one pass, for JavaScript. libtorch describes a
// convolution to oneDNN anew at each call and has several operators for the rest, which of a small network and one image is half of the time.
#include "convolution-kernel.h"
#include "environment.h"
#include "plain-tensor.h"
#include "thread-pool.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace conquer {
namespace {

using convolution::Finish;
using convolution::kChannels;
using convolution::kPanel;
using convolution::kRows;
using convolution::Shape;

// Of the numbers that rows hold together, which are read once for each panel: they are to stay in the processor's cache.
constexpr int64_t kCached = 1 << 16;
// Multiplications below which one thread is done by the time that another has woken.
constexpr int64_t kAlone = 1 << 20;

int64_t parts(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Enough that no thread waits long for another's last one.
int64_t pieces_wanted() { return at::get_num_threads() == 1 ? 1 : 4 * at::get_num_threads(); }

template <typename F>
void share(const Environment& environment, int64_t pieces, int64_t multiplications, const F& body) {
  if (multiplications < kAlone || pieces < 2) {
    const FlushDenormals flush(environment);
    for (int64_t piece = 0; piece < pieces; ++piece) body(piece);
  } else {
    on_kept_threads(pieces, [&](int64_t piece) {
      const FlushDenormals flush(environment);
      body(piece);
    });
  }
}

struct Convolution {
  at::Tensor x, packed, y;
  Shape shape;
  Finish finish;

  int64_t images() const { return x.size(0); }
  int64_t places() const { return shape.out_height * shape.out_width; }
  const float* image(int64_t i) const { return x.data_ptr<float>() + i * shape.height * shape.width * shape.channels; }
};

void run_depthwise(const Environment& environment, const Convolution& given) {
  const Shape& shape = given.shape;
  const int64_t line = shape.out_width * shape.out_channels;
  const int64_t multiplications = given.images() * given.places() * shape.out_channels * shape.kernel_height * shape.kernel_width;
  const int64_t rows = std::max<int64_t>(1, shape.out_height / pieces_wanted());
  const int64_t bands = parts(shape.out_height, rows);
  share(environment, given.images() * bands, multiplications, [&](int64_t piece) {
    const int64_t image = piece / bands, begin = piece % bands * rows;
    const int64_t before = image * shape.out_height * line;
    Finish finish = given.finish;
    if (finish.residual != nullptr) finish.residual += before;
    convolution::depthwise(given.image(image), shape, given.packed.data_ptr<float>(), begin, std::min(begin + rows, shape.out_height), finish,
                           given.y.data_ptr<float>() + before);
  });
}

// The maps within the zeros that their windows reach into; as they are where these reach into none.
at::Tensor with_zeros(const Environment& environment, const Convolution& given) {
  const Shape& shape = given.shape;
  const int64_t height = (shape.out_height - 1) * shape.stride_height + shape.kernel_height;
  const int64_t width = (shape.out_width - 1) * shape.stride_width + shape.kernel_width;
  if (shape.padding_height == 0 && shape.padding_width == 0 && height <= shape.height && width <= shape.width) return {};
  const at::Tensor padded = at::empty({given.images(), height, width, shape.channels}, given.y.options().memory_format(at::MemoryFormat::Contiguous));
  const int64_t rows = parts(height, pieces_wanted()), bands = parts(height, rows), line = width * shape.channels;
  float* const to = padded.data_ptr<float>();
  share(environment, given.images() * bands, padded.numel(), [&](int64_t piece) {
    const int64_t image = piece / bands, begin = piece % bands * rows;
    convolution::pad(given.image(image), shape, width, begin, std::min(begin + rows, height), to + (image * height + begin) * line);
  });
  return padded;
}

void run_dense(const Environment& environment, const Convolution& given) {
  const Shape& shape = given.shape;
  const int64_t depth = shape.taps() * shape.channels, outputs = shape.out_channels;
  const int64_t count = given.images() * given.places();
  const at::Tensor padded = with_zeros(environment, given);
  const float* const maps = padded.defined() ? padded.data_ptr<float>() : given.x.data_ptr<float>();
  const int64_t height = padded.defined() ? padded.size(1) : shape.height, width = padded.defined() ? padded.size(2) : shape.width;
  const convolution::Lines lines{shape.kernel_height, shape.kernel_width * shape.channels, width * shape.channels};
  // Windows in chunks, whose numbers stay in the cache (neighbours share most of a kernel's rows); where these are few, each chunk's panels in
  // groups.
  const int64_t wanted = pieces_wanted();
  const int64_t most = std::max<int64_t>(2 * kRows, kCached / std::max<int64_t>(1, lines.depth));
  const int64_t rows = parts(parts(count, parts(count, most)), kRows) * kRows;
  const int64_t chunks = parts(count, rows), panels = parts(outputs, kPanel);
  const int64_t group = parts(panels, std::min(panels, parts(wanted, chunks)));
  const int64_t groups = parts(panels, group);
  share(environment, chunks * groups, count * depth * outputs, [&](int64_t piece) {
    const int64_t begin = piece / groups * rows, some = std::min(rows, count - begin), first = piece % groups * group * kPanel;
    std::vector<const float*> windows(static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t output = begin + std::min(i, some - 1), image = output / given.places(), place = output % given.places();
      const int64_t row = place / shape.out_width * shape.stride_height, column = place % shape.out_width * shape.stride_width;
      windows[static_cast<size_t>(i)] = maps + ((image * height + row) * width + column) * shape.channels;
    }
    Finish finish = given.finish;
    if (finish.residual != nullptr) finish.residual += begin * outputs;
    convolution::dense(windows.data(), some, lines, given.packed.data_ptr<float>(), outputs, first, std::min(outputs, first + group * kPanel), finish,
                       given.y.data_ptr<float>() + begin * outputs);
  });
}

void require_floats(const at::Tensor& tensor, const char* what, int64_t dims) {
  if (!is_plain(tensor, at::kFloat) || tensor.dim() != dims) {
    throw std::runtime_error(std::string(what) + " must be float32 with " + std::to_string(dims) + " dimensions on the CPU");
  }
}

void expect(bool fits, const char* what) {
  if (!fits) throw std::runtime_error(std::string("a convolution: ") + what);
}

// packConvolution(weight (O, I, kH, kW), depthwise) → the weights in the order in which convolve() reads them: (O, kH, kW, I), or, where
// each channel is convolved by itself (I is 1), (kH, kW, O).
napi_value pack_convolution(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor& weight = to_tensor(env, arguments[0]);
    const bool depthwise = to_bool(env, arguments[1], "depthwise");
    require_floats(weight, "the weight", 4);
    expect(weight.size(0) % kChannels == 0, "the output's channels must be a multiple of 8");
    if (depthwise) {
      expect(weight.size(1) == 1, "the weight must be (C, 1, kH, kW)");
      return from_tensor(env, weight.detach().select(1, 0).permute({1, 2, 0}).contiguous());
    }
    const at::Tensor plain = weight.detach().permute({0, 2, 3, 1}).contiguous();
    const at::Tensor packed = at::empty_like(plain);
    if (plain.numel() > 0) {
      convolution::pack(plain.data_ptr<float>(), plain.size(0), plain.numel() / plain.size(0), packed.data_ptr<float>());
    }
    return from_tensor(env, packed);
  });
}

// convolve(x (B, I, H, W), packed, bias (O), residual (B, O, H', W') or null, [strides, zeros at the top, bottom, left, right], min, max)
// → (B, O, H', W'), channels_last: min(max(convolution + bias + residual, min), max). Without gradients.
napi_value convolve(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<7> arguments(env, info);
    const auto last = at::MemoryFormat::ChannelsLast;
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& packed = to_tensor(env, arguments[1]);
    const at::Tensor& bias = to_tensor(env, arguments[2]);
    require_floats(x, "the maps", 4);
    const bool depthwise = packed.dim() == 3;
    require_floats(packed, "packed weights", depthwise ? 3 : 4);
    expect(packed.is_contiguous(), "packed weights must be those of packConvolution()");
    require_floats(bias, "the bias", 1);
    const std::vector<int64_t> given = to_int64_list(env, arguments[4], "strides and zeros");
    expect(given.size() == 6, "expected two strides and four counts of zeros");
    constexpr int64_t kMost = 1 << 20;
    for (const int64_t number : given) expect(number >= 0 && number < kMost, "strides and zeros must be 0 to 1,048,575");
    expect(given[0] > 0 && given[1] > 0, "strides must be 1 or more");
    const int64_t outputs = packed.size(depthwise ? 2 : 0);
    Convolution convolution{x.detach().contiguous(last), packed.detach(), {}, {}, {}};
    Shape& shape = convolution.shape;
    shape = {x.size(2), x.size(3), x.size(1), 0, 0, outputs, packed.size(depthwise ? 0 : 1), packed.size(depthwise ? 1 : 2), given[0], given[1],
             given[2], given[4]};
    expect((depthwise ? outputs : packed.size(3)) == shape.channels, "the maps' channels must be the weights'");
    expect(outputs > 0 && outputs % kChannels == 0 && bias.size(0) == outputs, "the output's channels must be a multiple of 8, with a bias each");
    expect(shape.height < kMost && shape.width < kMost && shape.kernel_height > 0 && shape.kernel_width > 0, "the maps must be below 1,048,576 pixels a side");
    const int64_t free_rows = shape.height + given[2] + given[3] - shape.kernel_height;
    const int64_t free_columns = shape.width + given[4] + given[5] - shape.kernel_width;
    expect(free_rows >= 0 && free_columns >= 0, "the kernel must fit into the maps and their zeros");
    shape.out_height = free_rows / given[0] + 1;
    shape.out_width = free_columns / given[1] + 1;
    if (depthwise) {
      const bool known = shape.kernel_height == shape.kernel_width && (shape.kernel_height == 3 || shape.kernel_height == 5);
      expect(known && given[0] == given[1] && given[0] <= 2, "a kernel of each channel by itself must be 3 or 5 wide and high, the strides both 1 or both 2");
    }
    const std::vector<int64_t> result{x.size(0), outputs, shape.out_height, shape.out_width};
    at::Tensor residual;
    if (!is_null(env, arguments[3])) {
      residual = to_tensor(env, arguments[3]).detach();
      require_floats(residual, "what is added", 4);
      expect(residual.sizes() == at::IntArrayRef(result), "what is added must have the output's shape");
      residual = residual.contiguous(last);
    }
    const at::Tensor biases = bias.detach().contiguous();
    convolution.finish = {biases.data_ptr<float>(), residual.defined() ? residual.data_ptr<float>() : nullptr,
                          static_cast<float>(to_double(env, arguments[5], "min")), static_cast<float>(to_double(env, arguments[6], "max"))};
    convolution.y = at::empty(result, x.options().requires_grad(false), last);
    if (convolution.y.numel() > 0) {
      const Environment& environment = Environment::of(env);
      depthwise ? run_depthwise(environment, convolution) : run_dense(environment, convolution);
    }
    return from_tensor(env, convolution.y);
  });
}

// packsProducts() → whether large products by the kernels here are worth it on this processor: libtorch's have no wider vectors, or none that are faster.
napi_value packs_products(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_bool(env, convolution::uses_widest_vectors()); });
}

// packedLinear(x (…, I), packed (O, 1, 1, I), bias (O)) → (…, O). Without gradients. A row's outputs are the same bits whatever rows are beside.
napi_value packed_linear(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& packed = to_tensor(env, arguments[1]);
    const at::Tensor& bias = to_tensor(env, arguments[2]);
    require_floats(packed, "packed weights", 4);
    require_floats(bias, "the bias", 1);
    const int64_t outputs = packed.size(0), inputs = packed.size(3);
    expect(packed.is_contiguous() && packed.size(1) == 1 && packed.size(2) == 1, "packed weights must be those of packConvolution(), of a window of 1");
    expect(inputs > 0 && outputs > 0 && outputs % kChannels == 0 && bias.size(0) == outputs, "the outputs must be a multiple of 8, with a bias each");
    expect(is_plain(x, at::kFloat) && x.dim() > 0 && x.size(-1) == inputs, "rows must be float32 on the CPU, as long as the weights'");
    const at::Tensor rows = x.detach().contiguous(), biases = bias.detach().contiguous();
    const int64_t count = rows.numel() / inputs;
    Convolution product{rows.view({1, count, 1, inputs}), packed.detach(), {}, {count, 1, inputs, count, 1, outputs, 1, 1, 1, 1, 0, 0}, {}};
    constexpr float kNoLimit = std::numeric_limits<float>::infinity();
    product.finish = {biases.data_ptr<float>(), nullptr, -kNoLimit, kNoLimit};
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes.back() = outputs;
    product.y = at::empty(sizes, x.options().requires_grad(false).memory_format(at::MemoryFormat::Contiguous));
    if (count > 0) run_dense(Environment::of(env), product);
    return from_tensor(env, product.y);
  });
}

}  // namespace

void register_convolution(napi_env env, napi_value exports) {
  define(env, exports, "packsProducts", packs_products);
  define(env, exports, "packedLinear", packed_linear);
  define(env, exports, "packConvolution", pack_convolution);
  define(env, exports, "convolve", convolve);
}

}  // namespace conquer
