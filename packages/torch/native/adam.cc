// build: -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math
// A step of Adam or AdamW on the CPU in one pass over each parameter, for JavaScript. As operators it is nine passes, each
// of which reads and writes whole tensors.
//
// The arithmetic is that of libtorch's operators, one rounding after the other, so that the bits are the same: compiled
// without contraction, and with fused multiply-adds exactly where theirs are (the flags are in the first line).
#include "environment.h"
#include "parallel.h"

#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__)
#define CONQUER_FMA __attribute__((target("avx2,fma")))
#endif

namespace conquer {
namespace {

template <typename Number>
struct Constants {
  Number beta1, rest1;  // β₁, 1 − β₁
  Number beta2, rest2;
  Number eps;
  Number decay;  // AdamW: what θ is multiplied by first
  Number l2;     // Adam: λ of λ·θ, added to the gradient
};

template <typename Number>
struct Part {
  Number* param;
  const Number* grad;
  Number* mean;
  Number* square;
  Number size;        // −lr / (1 − β₁ᵗ)
  Number correction;  // √(1 − β₂ᵗ)
  int64_t count;
};

template <bool Fused, typename Number>
inline __attribute__((always_inline)) Number multiply_add(Number a, Number b, Number c) {
  return Fused ? std::fma(a, b, c) : a * b + c;
}

// The pointers are parameters of their own: the compiler makes vectors of this loop only then.
template <bool Fused, typename Number>
inline __attribute__((always_inline)) void update(Number* __restrict param, const Number* __restrict grad,
                                                  Number* __restrict mean, Number* __restrict square, int64_t count,
                                                  Number size, Number correction, const Constants<Number> by) {
  for (int64_t i = 0; i < count; ++i) {
    const Number theta = param[i] * by.decay;
    const Number g = by.l2 == 0 ? grad[i] : multiply_add<Fused>(theta, by.l2, grad[i]);
    const Number m = multiply_add<Fused>(g, by.rest1, mean[i] * by.beta1);
    const Number v = multiply_add<Fused>(by.rest2 * g, g, square[i] * by.beta2);
    mean[i] = m;
    square[i] = v;
    param[i] = theta + size * m / (std::sqrt(v) / correction + by.eps);
  }
}

template <typename Number>
void update_plain(const Part<Number>& p, int64_t from, int64_t count, const Constants<Number>& by) {
  update<false>(p.param + from, p.grad + from, p.mean + from, p.square + from, count, p.size, p.correction, by);
}

#ifdef CONQUER_FMA
template <typename Number>
CONQUER_FMA void update_fused(const Part<Number>& p, int64_t from, int64_t count, const Constants<Number>& by) {
  update<true>(p.param + from, p.grad + from, p.mean + from, p.square + from, count, p.size, p.correction, by);
}
const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif

constexpr int64_t kPiece = 1 << 15;

template <typename Number>
void step(const std::vector<Part<Number>>& parts, const Constants<Number>& by) {
  struct Piece {
    const Part<Number>* part;
    int64_t begin, end;
  };
  std::vector<Piece> pieces;
  for (const Part<Number>& part : parts) {
    for (int64_t begin = 0; begin < part.count; begin += kPiece) {
      pieces.push_back({&part, begin, std::min(part.count, begin + kPiece)});
    }
  }
  in_parallel(static_cast<int64_t>(pieces.size()), 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
#ifdef CONQUER_FMA
      if (has_fma) {
        update_fused(*piece.part, piece.begin, piece.end - piece.begin, by);
        continue;
      }
#endif
      update_plain(*piece.part, piece.begin, piece.end - piece.begin, by);
    }
  });
}

struct Lists {
  std::vector<at::Tensor> params, grads, means, squares;
  const double* sizes;
  const double* corrections;
};

template <typename Number>
void step(const Lists& lists, const double* numbers) {
  std::vector<Part<Number>> parts;
  for (size_t i = 0; i < lists.params.size(); ++i) {
    parts.push_back({lists.params[i].data_ptr<Number>(), lists.grads[i].data_ptr<Number>(),
                     lists.means[i].data_ptr<Number>(), lists.squares[i].data_ptr<Number>(),
                     static_cast<Number>(lists.sizes[i]), static_cast<Number>(lists.corrections[i]),
                     lists.params[i].numel()});
  }
  const auto number = [&](int i) { return static_cast<Number>(numbers[i]); };
  step(parts, Constants<Number>{number(0), number(1), number(2), number(3), number(4), number(5), number(6)});
}

// adam(params, grads, means, squares: handles; sizes, corrections: Float64Array (N,); constants: Float64Array (7,), see
// Constants) → false, with nothing done, unless all are dense on the CPU and of one dtype, float32 or float64.
napi_value adam(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<7> arguments(env, info);
    Lists lists{to_tensor_list(env, arguments[0], "params"), to_tensor_list(env, arguments[1], "grads"),
                to_tensor_list(env, arguments[2], "means"), to_tensor_list(env, arguments[3], "squares"), nullptr, nullptr};
    const size_t count = lists.params.size();
    for (const auto* list : {&lists.grads, &lists.means, &lists.squares}) {
      if (list->size() != count) throw std::runtime_error("adam: the lists must be of one length");
    }
    lists.sizes = View<double>(env, arguments[4], "sizes").expect(count, "sizes").data;
    lists.corrections = View<double>(env, arguments[5], "corrections").expect(count, "corrections").data;
    const double* const constants = View<double>(env, arguments[6], "constants").expect(7, "constants").data;
    if (count == 0) return from_bool(env, true);
    const at::ScalarType dtype = lists.params[0].scalar_type();
    if (dtype != at::kFloat && dtype != at::kDouble) return from_bool(env, false);
    for (size_t i = 0; i < count; ++i) {
      for (const at::Tensor* tensor : {&lists.params[i], &lists.grads[i], &lists.means[i], &lists.squares[i]}) {
        if (!tensor->device().is_cpu() || tensor->layout() != at::kStrided || tensor->scalar_type() != dtype ||
            !tensor->is_contiguous() || tensor->sizes() != lists.params[i].sizes()) {
          return from_bool(env, false);
        }
      }
    }
    FlushDenormals flush(Environment::of(env));
    dtype == at::kFloat ? step<float>(lists, constants) : step<double>(lists, constants);
    // As an operator in place would: who saved an old value for its gradient is told.
    for (const auto* list : {&lists.params, &lists.means, &lists.squares}) {
      for (const at::Tensor& tensor : *list) tensor.unsafeGetTensorImpl()->bump_version();
    }
    return from_bool(env, true);
  });
}

}  // namespace

void register_adam(napi_env env, napi_value exports) { define(env, exports, "adam", adam); }

}  // namespace conquer
