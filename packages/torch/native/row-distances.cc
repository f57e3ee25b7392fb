// Distances of listed pairs of rows, with their gradient, for JavaScript. As operators the rows of every pair are copied first,
// and their gradients once more.
#include "environment.h"
#include "row-distances-kernel.h"
#include "row-passes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string>
#include <vector>

namespace conquer {
namespace {

// Pairs as they were given; kept for the gradient.
struct Pairs : torch::CustomClassHolder {
  std::vector<int32_t> from, to;
  double shift, least_square;
  bool same, of_x, of_y;  // whether y is x itself; which of them get a gradient
};

template <typename T>
RowPairs<T> row_pairs(const Pairs& pairs, const at::Tensor& x, const at::Tensor& y) {
  return {x.data_ptr<T>(), y.data_ptr<T>(), pairs.from.data(), pairs.to.data(), x.size(1), pairs.shift};
}

struct RowDistances : public torch::autograd::Function<RowDistances> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& y,
                            const c10::intrusive_ptr<Pairs>& pairs) {
    const int64_t count = static_cast<int64_t>(pairs->from.size());
    const at::Tensor distances = at::empty({count}, x.options());
    by_type(x.scalar_type(), [&](auto number) {
      using T = decltype(number);
      const RowPairs<T> rows = row_pairs<T>(*pairs, x, y);
      T* const to = distances.data_ptr<T>();
      over_rows(count, rows.columns, [&](int64_t begin, int64_t end) { row_distances(rows, begin, end, pairs->least_square, to); });
    });
    context->save_for_backward({x, y, distances});
    context->saved_data["pairs"] = c10::IValue::make_capsule(pairs);
    return distances;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &y = saved[1], &distances = saved[2];
    const auto capsule = context->saved_data["pairs"].toCapsule();
    const Pairs& pairs = static_cast<const Pairs&>(*capsule);
    const at::Tensor given = gradients[0].contiguous();
    const at::Tensor to_x = pairs.of_x ? at::zeros_like(x) : at::Tensor();
    const at::Tensor to_y = pairs.of_y && !pairs.same ? at::zeros_like(y) : at::Tensor();
    by_type(x.scalar_type(), [&](auto number) {
      using T = decltype(number);
      T* const gx = pairs.of_x ? to_x.data_ptr<T>() : nullptr;
      T* const gy = pairs.same ? gx : pairs.of_y ? to_y.data_ptr<T>() : nullptr;
      row_distances_backward(row_pairs<T>(pairs, x, y), distances.size(0), given.data_ptr<T>(), distances.data_ptr<T>(), gx, gy);
    });
    return {to_x, to_y, at::Tensor()};
  }
};

std::vector<int32_t> rows_of(napi_env env, napi_value value, const char* what, int64_t rows) {
  const View<int32_t> given(env, value, what);
  for (size_t i = 0; i < given.length; ++i) {
    if (given.data[i] < 0 || given.data[i] >= rows) throw std::runtime_error(std::string(what) + ": there is no row " + std::to_string(given.data[i]));
  }
  return std::vector<int32_t>(given.data, given.data + given.length);
}

// rowDistances(x (A, D), y (N, D), from Int32Array (P,), to Int32Array (P,), shift, leastSquare) → (P,)
// sqrt(Σ (x[from] - y[to] + shift)² + leastSquare), float32 or float64 on the CPU, contiguous.
napi_value row_distances_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<6> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& y = to_tensor(env, arguments[1]);
    require_rows(x, "x");
    require_rows(y, "y");
    if (x.dim() != 2 || y.dim() != 2 || x.size(1) != y.size(1) || x.scalar_type() != y.scalar_type()) {
      throw std::runtime_error("x and y must be (A, D) and (N, D) of one dtype");
    }
    auto pairs = c10::make_intrusive<Pairs>();
    pairs->from = rows_of(env, arguments[2], "from", x.size(0));
    pairs->to = rows_of(env, arguments[3], "to", y.size(0));
    if (pairs->from.size() != pairs->to.size()) throw std::runtime_error("from and to must be of one length");
    pairs->shift = to_double(env, arguments[4], "shift");
    pairs->least_square = to_double(env, arguments[5], "leastSquare");
    pairs->same = x.is_same(y);
    pairs->of_x = x.requires_grad();
    pairs->of_y = y.requires_grad();
    FlushDenormals flush(Environment::of(env));
    return from_tensor(env, RowDistances::apply(x, y, pairs));
  });
}

// exactRowDistances(x (A, D), y (N, D), from Int32Array (P,), to Int32Array (P,)) → (P,), float32 on the CPU, contiguous; no gradient.
napi_value exact_row_distances_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<4> arguments(env, info);
    const at::Tensor& x = to_tensor(env, arguments[0]);
    const at::Tensor& y = to_tensor(env, arguments[1]);
    require_rows(x, "x");
    require_rows(y, "y");
    if (x.dim() != 2 || y.dim() != 2 || x.size(1) != y.size(1) || x.scalar_type() != at::kFloat || y.scalar_type() != at::kFloat) {
      throw std::runtime_error("x and y must be (A, D) and (N, D) of float32");
    }
    const std::vector<int32_t> from = rows_of(env, arguments[2], "from", x.size(0)), to = rows_of(env, arguments[3], "to", y.size(0));
    if (from.size() != to.size()) throw std::runtime_error("from and to must be of one length");
    const int64_t count = static_cast<int64_t>(from.size());
    const at::Tensor distances = at::empty({count}, at::kFloat);
    exact_row_distances({x.data_ptr<float>(), y.data_ptr<float>(), from.data(), to.data(), x.size(1), 0}, count, distances.data_ptr<float>());
    return from_tensor(env, distances);
  });
}

}  // namespace

void register_row_distances(napi_env env, napi_value exports) {
  define(env, exports, "rowDistances", row_distances_of);
  define(env, exports, "exactRowDistances", exact_row_distances_of);
}

}  // namespace conquer
