// Products of many matrices (bmm, baddbmm, and matmul with more than two dimensions: attention) of a libtorch 1.x without MKL,
// Debian's, over the BLAS's product of two. Its own are plain loops there, at a fifth of the speed, and they are what a
// transformer spends its step in. They are replaced below autograd, whose gradients are such products again.
#include "environment.h"

#include <torch/version.h>

#if TORCH_VERSION_MAJOR < 2

#include <ATen/Parallel.h>
#include <ATen/ops/baddbmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <climits>

// Of whichever BLAS and OpenMP libtorch itself has loaded; weak, as another build may have others.
extern "C" {
__attribute__((weak)) void sgemm_(const char* transposed_a, const char* transposed_b, const int* m, const int* n, const int* k,
                                  const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                                  const float* beta, float* c, const int* ldc);
__attribute__((weak)) void dgemm_(const char* transposed_a, const char* transposed_b, const int* m, const int* n, const int* k,
                                  const double* alpha, const double* a, const int* lda, const double* b, const int* ldb,
                                  const double* beta, double* c, const int* ldc);
// What `#pragma omp parallel` becomes, so that no compiler flag is needed. Inside of it the BLAS computes on one thread.
__attribute__((weak)) void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
}

namespace conquer {
namespace {

// Below so many multiplications a matrix, libtorch's loops are as fast as a call of the BLAS.
constexpr int64_t kSmall = 1000;

constexpr auto gemm(float) { return sgemm_; }
constexpr auto gemm(double) { return dgemm_; }

// A batch of matrices as BLAS takes them: by columns, `leading` elements apart, or by rows, which are columns of the
// transposed.
struct Matrices {
  at::Tensor tensor;  // what `data` points into
  char transposed;
  int leading;
  int64_t stride;

  static bool fits(int64_t step, int64_t leading, int64_t length) {
    return step == 1 && leading >= std::max<int64_t>(length, 1) && leading <= INT_MAX;
  }

  explicit Matrices(const at::Tensor& batch) : tensor(batch) {
    if (!by_rows() && !by_columns()) {
      tensor = batch.contiguous();
      transposed = 'n';
      leading = static_cast<int>(tensor.size(2));  // what a single row has as a stride says nothing
    }
    stride = tensor.stride(0);
  }

 private:
  bool by_rows() {
    transposed = 'n';
    leading = static_cast<int>(tensor.stride(1));
    return fits(tensor.stride(2), tensor.stride(1), tensor.size(2));
  }
  bool by_columns() {
    transposed = 't';
    leading = static_cast<int>(tensor.stride(2));
    return fits(tensor.stride(1), tensor.stride(2), tensor.size(1));
  }
};

// out = beta * out + alpha * a · b, matrix by matrix; `out` is contiguous. By columns that is outᵀ = bᵀ · aᵀ.
template <typename T>
void multiply(const at::Tensor& out, const Matrices& a, const Matrices& b, T beta, T alpha) {
  const int rows = static_cast<int>(out.size(1)), columns = static_cast<int>(out.size(2));
  const int inner = static_cast<int>(a.tensor.size(2));
  const int64_t count = out.size(0);
  T* const to = out.data_ptr<T>();
  const T* const left = a.tensor.data_ptr<T>();
  const T* const right = b.tensor.data_ptr<T>();
  const auto one = [&](int64_t i) {
    gemm(T())(&b.transposed, &a.transposed, &columns, &rows, &inner, &alpha, right + i * b.stride, &b.leading,
              left + i * a.stride, &a.leading, &beta, to + i * out.stride(0), &columns);
  };
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  if (threads < 2 || count < at::get_num_threads()) {
    for (int64_t i = 0; i < count; ++i) one(i);
    return;
  }
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) one(i);
  };
  using Work = decltype(work);
  const auto body = [](void* data) { (*static_cast<Work*>(data))(); };
  GOMP_parallel(body, const_cast<void*>(static_cast<const void*>(&work)), static_cast<unsigned>(threads), 0);
}

// Whether these are products that the BLAS is for; libtorch's own operator takes all others, and says what is wrong.
bool suits(const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() != 3 || b.dim() != 3 || a.size(0) != b.size(0) || a.size(2) != b.size(1)) return false;
  if (a.scalar_type() != b.scalar_type() || (a.scalar_type() != at::kFloat && a.scalar_type() != at::kDouble)) return false;
  const int64_t rows = a.size(1), inner = a.size(2), columns = b.size(2);
  if (std::max({rows, inner, columns}) > INT_MAX) return false;
  return a.size(0) > 0 && rows * inner * columns >= kSmall && a.layout() == at::kStrided && b.layout() == at::kStrided &&
         !a.is_neg() && !b.is_neg();
}

void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double beta, double alpha) {
  const Matrices left(a), right(b);
  if (out.scalar_type() == at::kFloat) {
    multiply<float>(out, left, right, static_cast<float>(beta), static_cast<float>(alpha));
  } else {
    multiply<double>(out, left, right, beta, alpha);
  }
}

at::Tensor bmm(const at::Tensor& a, const at::Tensor& b) {
  if (!suits(a, b)) return at::cpu::bmm(a, b);
  const at::Tensor out = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  multiply(out, a, b, 0, 1);
  return out;
}

at::Tensor baddbmm(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                   const at::Scalar& alpha) {
  if (!suits(a, b) || self.scalar_type() != a.scalar_type() || self.dim() > 3 || beta.isComplex() || alpha.isComplex()) {
    return at::cpu::baddbmm(self, a, b, beta, alpha);
  }
  const at::Tensor out = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  // With a beta of 0 what is not finite in `self` does not count, nor what BLAS finds in `out`.
  if (beta.toDouble() != 0) out.copy_(self.expand(out.sizes()));
  multiply(out, a, b, beta.toDouble(), alpha.toDouble());
  return out;
}

class Quiet : public c10::WarningHandler {
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
};

bool replace_kernels() {
  if (at::hasMKL() || !sgemm_ || !dgemm_ || !GOMP_parallel) return false;
  Quiet quiet;  // libtorch warns of a kernel that takes another's place
  const c10::Warning::WarningHandlerGuard guard(&quiet);
  static torch::Library library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  library.impl("bmm", bmm);
  library.impl("baddbmm", baddbmm);
  return true;
}

}  // namespace

void register_batched_products() {
  static const bool replaced = replace_kernels();
  static_cast<void>(replaced);
}

}  // namespace conquer

#else

namespace conquer {

void register_batched_products() {}

}  // namespace conquer

#endif
