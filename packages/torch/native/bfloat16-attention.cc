// Attention of tokens among themselves in bfloat16, for JavaScript: head by head, so that the scores of some queries stay in the processor's cache, and with
// queries, keys and values where the layer in front of it put them. Backward computes the scores again.
#include "bfloat16-kernel.h"
#include "bfloat16-windows.h"
#include "environment.h"
#include "plain-tensor.h"
#include "thread-pool.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace conquer {
namespace {

using bfloat16::halves;
using bfloat16::Matrix;

// Queries whose scores are computed together.
constexpr int64_t kQueries = 64;

struct Shape {
  int64_t tokens, heads, size;
  float scale;

  explicit Shape(const at::Tensor& qkv, int64_t heads_)
      : tokens(qkv.size(1)), heads(heads_), size(qkv.size(2) / 3 / heads_), scale(static_cast<float>(1 / std::sqrt(static_cast<double>(size)))) {}
  int64_t width() const { return heads * size; }
  // As many keys as the kernels compute with.
  int64_t keys() const { return (tokens + bfloat16::kChannels - 1) / bfloat16::kChannels * bfloat16::kChannels; }
};

// Of an image and a head: part 0, 1, 2 is queries, keys, values.
Matrix part_of(uint16_t* qkv, const Shape& shape, int64_t image, int64_t head, int64_t part) {
  const int64_t apart = 3 * shape.width();
  return {qkv + image * shape.tokens * apart + part * shape.width() + head * shape.size, apart, shape.tokens};
}

// Pointers to some rows; those behind the last are it again, as many as a product asks for.
class Rows {
 public:
  explicit Rows(int64_t most) : rows_(static_cast<size_t>(most + bfloat16::kRows)) {}
  bfloat16::Pieces of(const uint16_t* first, int64_t apart, int64_t count, int64_t depth) {
    for (int64_t i = 0; i < static_cast<int64_t>(rows_.size()); ++i) rows_[static_cast<size_t>(i)] = first + std::min(i, count - 1) * apart;
    return {rows_.data(), 0, count, 1, depth};
  }
  // The same, with `zeros` behind an odd number.
  const uint16_t* const* even(const uint16_t* first, int64_t apart, int64_t count, const uint16_t* zeros) {
    of(first, apart, count, 0);
    if (count % 2 == 1) rows_[static_cast<size_t>(count)] = zeros;
    return rows_.data();
  }

 private:
  std::vector<const uint16_t*> rows_;
};

// Memory that is not filled first.
template <typename T>
class Scratch {
 public:
  explicit Scratch(int64_t count) : numbers_(new T[static_cast<size_t>(count)]) {}
  ~Scratch() { delete[] numbers_; }
  Scratch(const Scratch&) = delete;
  T* get() const { return numbers_; }

 private:
  T* const numbers_;
};

struct Attention : public torch::autograd::Function<Attention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& given, int64_t heads) {
    const at::Tensor qkv = given.contiguous();
    const Shape shape(qkv, heads);
    const at::Tensor y = at::empty({qkv.size(0), shape.tokens, shape.width()}, qkv.options());
    const at::Tensor logarithms = at::empty({qkv.size(0), heads, shape.tokens}, qkv.options().dtype(at::kFloat));
    on_kept_threads(qkv.size(0) * heads, [&](int64_t piece) { attend(qkv, shape, piece / heads, piece % heads, y, logarithms); });
    context->save_for_backward({qkv, y, logarithms});
    context->saved_data["heads"] = heads;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const int64_t heads = context->saved_data["heads"].toInt();
    const Shape shape(saved[0], heads);
    const at::Tensor gradient = gradients[0].to(at::kBFloat16).contiguous();
    const at::Tensor of_qkv = at::empty_like(saved[0]);
    on_kept_threads(saved[0].size(0) * heads, [&](int64_t piece) {
      gradient_of(saved[0], shape, piece / heads, piece % heads, saved[1], saved[2], gradient, of_qkv);
    });
    return {of_qkv, at::Tensor()};
  }

 private:
  static void attend(const at::Tensor& qkv, const Shape& shape, int64_t image, int64_t head, const at::Tensor& y, const at::Tensor& logarithms) {
    const int64_t size = shape.size, keys = shape.keys();
    const Matrix q = part_of(halves(qkv), shape, image, head, 0), k = part_of(halves(qkv), shape, image, head, 1), v = part_of(halves(qkv), shape, image, head, 2);
    const Scratch<uint32_t> packed_keys(keys * size / 2), packed_values(keys * size / 2);
    bfloat16::pack_columns(k, size, 0, keys, packed_keys.get());
    bfloat16::pack_rows(v, keys, keys, 0, size, packed_values.get());
    const Scratch<float> scores(kQueries * keys);
    const Scratch<uint16_t> weights(kQueries * keys);
    Rows rows(kQueries);
    for (int64_t first = 0; first < shape.tokens; first += kQueries) {
      const int64_t some = std::min(kQueries, shape.tokens - first);
      bfloat16::product(rows.of(q.numbers + first * q.apart, q.apart, some, size), packed_keys.get(), keys, scores.get());
      bfloat16::softmax(scores.get(), some, shape.tokens, keys, shape.scale, weights.get(),
                        logarithms.data_ptr<float>() + (image * shape.heads + head) * shape.tokens + first);
      bfloat16::product(rows.of(weights.get(), keys, some, keys), packed_values.get(), 0, size, {},
                        {halves(y) + (image * shape.tokens + first) * shape.width() + head * size, shape.width(), size});
    }
  }

  static void gradient_of(const at::Tensor& qkv, const Shape& shape, int64_t image, int64_t head, const at::Tensor& y, const at::Tensor& logarithms,
                          const at::Tensor& gradient, const at::Tensor& of_qkv) {
    const int64_t size = shape.size, keys = shape.keys(), width = shape.width();
    const Matrix q = part_of(halves(qkv), shape, image, head, 0), k = part_of(halves(qkv), shape, image, head, 1), v = part_of(halves(qkv), shape, image, head, 2);
    const int64_t at = image * shape.tokens * width + head * size;
    const Matrix out{halves(y) + at, width, shape.tokens}, of_out{halves(gradient) + at, width, shape.tokens};
    const Scratch<uint32_t> packed_keys(keys * size / 2), packed_values(keys * size / 2), keys_by_rows(keys * size / 2);
    bfloat16::pack_columns(k, size, 0, keys, packed_keys.get());
    bfloat16::pack_columns(v, size, 0, keys, packed_values.get());
    bfloat16::pack_rows(k, keys, keys, 0, size, keys_by_rows.get());
    const Scratch<float> scores(kQueries * keys), products(kQueries * keys), of_keys(keys * size), of_values(keys * size);
    const Scratch<uint16_t> weights(kQueries * keys), of_scores(kQueries * keys);
    const std::vector<uint16_t> zeros(static_cast<size_t>(std::max(keys, size)), 0);
    bfloat16::ProductOfRows product({0, keys}, {0, size});
    Rows rows(kQueries), others(kQueries);
    float means[kQueries];
    uint16_t* const of_q = halves(of_qkv) + (q.numbers - halves(qkv));
    for (int64_t first = 0; first < shape.tokens; first += kQueries) {
      const int64_t some = std::min(kQueries, shape.tokens - first), even = (some + 1) / 2 * 2;
      const uint16_t* const queries = q.numbers + first * q.apart;
      const uint16_t* const of_rows = of_out.numbers + first * width;
      for (int64_t i = 0; i < some; ++i) means[i] = bfloat16::dot(of_rows + i * width, out.numbers + (first + i) * width, size);
      bfloat16::product(rows.of(queries, q.apart, some, size), packed_keys.get(), keys, scores.get());
      bfloat16::product(rows.of(of_rows, width, some, size), packed_values.get(), keys, products.get());
      bfloat16::gradient_of_softmax(scores.get(), products.get(), some, shape.tokens, keys, shape.scale,
                                    logarithms.data_ptr<float>() + (image * shape.heads + head) * shape.tokens + first, means, weights.get(),
                                    of_scores.get());
      bfloat16::product(rows.of(of_scores.get(), keys, some, keys), keys_by_rows.get(), 0, size, {}, {of_q + first * q.apart, q.apart, size});
      product.add(rows.even(of_scores.get(), keys, some, zeros.data()), others.even(queries, q.apart, some, zeros.data()), even, first == 0, of_keys.get(),
                  size);
      product.add(rows.even(weights.get(), keys, some, zeros.data()), others.even(of_rows, width, some, zeros.data()), even, first == 0, of_values.get(),
                  size);
    }
    uint16_t* const of_k = halves(of_qkv) + (k.numbers - halves(qkv));
    uint16_t* const of_v = halves(of_qkv) + (v.numbers - halves(qkv));
    for (int64_t token = 0; token < shape.tokens; ++token) {
      bfloat16::round_all(of_keys.get() + token * size, size, of_k + token * k.apart);
      bfloat16::round_all(of_values.get() + token * size, size, of_v + token * v.apart);
    }
  }
};

// bfloat16Attention(qkv (B, N, 3 · heads · d) bfloat16: queries, keys and values of all heads, heads) → (B, N, heads · d), with gradients; d is a multiple of 32.
napi_value bfloat16_attention(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const at::Tensor& qkv = to_tensor(env, arguments[0]);
    const double heads = to_double(env, arguments[1], "heads");
    const auto expect = [](bool fits, const char* what) {
      if (!fits) throw std::runtime_error(std::string("attention in bfloat16: ") + what);
    };
    expect(bfloat16::is_fast(), "this processor has no fast instructions for it");
    expect(is_plain(qkv, at::kBFloat16) && qkv.dim() == 3 && qkv.numel() > 0,
           "queries, keys and values must be bfloat16 (B, N, 3 · heads · d) on the CPU");
    expect(heads >= 1 && heads < 65536 && heads == std::floor(heads), "there must be one head or more");
    const int64_t count = static_cast<int64_t>(heads);
    expect(qkv.size(2) % (3 * count) == 0 && qkv.size(2) / (3 * count) % bfloat16::kChannels == 0, "a head's size must be a multiple of 32");
    expect(qkv.size(1) < (int64_t{1} << 24), "there must be fewer than 16,777,216 tokens");
    return from_tensor(env, Attention::apply(qkv, count));
  });
}

}  // namespace

void register_bfloat16_attention(napi_env env, napi_value exports) { define(env, exports, "bfloat16Attention", bfloat16_attention); }

}  // namespace conquer
