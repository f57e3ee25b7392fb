// oneDNN's blocked layout, with the ReLU and the maximum pooling that PyTorch has elsewhere.
//
// oneDNN's own make a NaN a zero, or the smallest number: a network with a spoilt weight, or whose activations have
// overflowed, would give embeddings that look sound. So libtorch's kernels for such tensors are replaced here, below
// autograd: what calls them, and their gradients, stay as they are.
#include "clamp-kernel.h"
#include "environment.h"

#include <ATen/Functions.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/mkldnn_max_pool2d_native.h>
#include <c10/util/Exception.h>
#include <torch/library.h>
#include <torch/version.h>

#include <cmath>
#include <limits>

// Of oneDNN's C interface, and of libtorch's inside before it had operators for this: weak, as not every build has them.
namespace ideep {
class tensor;
}
namespace at::native {
__attribute__((weak)) ideep::tensor& itensor_from_mkldnn(const Tensor& blocked);
}
extern "C" {
__attribute__((weak)) int dnnl_memory_get_data_handle(const void* memory, void** data);
__attribute__((weak)) int dnnl_memory_get_memory_desc(const void* memory, const void** description);
__attribute__((weak)) size_t dnnl_memory_desc_get_size(const void* description);
}

namespace conquer {
namespace {

struct Memory {
  void* data = nullptr;
  int64_t bytes = 0;
};

int64_t ask(const c10::OperatorHandle& op, const at::Tensor& blocked) {
  torch::jit::Stack stack{blocked};
  op.callBoxed(&stack);
  return stack.at(0).toInt();
}

// Where the elements of a blocked tensor lie, in some order, with zeros between them; null where that cannot be known.
Memory memory_of(const at::Tensor& blocked) {
  static const auto data = c10::Dispatcher::singleton().findSchema({"mkldnn::data_ptr", ""});
  static const auto bytes = c10::Dispatcher::singleton().findSchema({"mkldnn::_nbytes", ""});
  if (data && bytes) return {reinterpret_cast<void*>(ask(*data, blocked)), ask(*bytes, blocked)};
  if (!at::native::itensor_from_mkldnn || !dnnl_memory_get_data_handle || !dnnl_memory_get_memory_desc ||
      !dnnl_memory_desc_get_size) {
    return {};
  }
  // An ideep::tensor begins with a shared pointer to oneDNN's object, in every version without those operators.
  const void* const memory = *reinterpret_cast<const void* const*>(&at::native::itensor_from_mkldnn(blocked));
  Memory found;
  const void* description = nullptr;
  if (dnnl_memory_get_memory_desc(memory, &description) != 0 || dnnl_memory_get_data_handle(memory, &found.data) != 0) return {};
  found.bytes = static_cast<int64_t>(dnnl_memory_desc_get_size(description));
  return found;
}

// The same memory as a plain vector.
at::Tensor flat(const at::Tensor& blocked) {
  const Memory memory = memory_of(blocked);
  const auto options = at::TensorOptions().dtype(blocked.scalar_type());
  return at::from_blob(memory.data, {memory.bytes / static_cast<int64_t>(blocked.element_size())}, options);
}

// Maps that one processor has changed by the time that another has woken: of a single image most of them.
constexpr int64_t kAlone = 1 << 18;

bool clamp_alone(const at::Tensor& numbers, double min, double max) {
  if (numbers.numel() > kAlone || numbers.scalar_type() != at::kFloat) return false;
  clamp(numbers.data_ptr<float>(), numbers.numel(), static_cast<float>(min), static_cast<float>(max));
  return true;
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

at::Tensor& relu_in_place(at::Tensor& blocked) {
  at::Tensor numbers = flat(blocked);
  if (!clamp_alone(numbers, 0, kInfinity)) numbers.relu_();
  return blocked;
}

at::Tensor relu(const at::Tensor& blocked) {
  at::Tensor result = blocked.clone();
  return relu_in_place(result);
}

// Between the channels lie zeros, which have to stay: a convolution reads them.
at::Tensor& clamp_in_place(at::Tensor& blocked, const c10::optional<at::Scalar>& min, const c10::optional<at::Scalar>& max) {
  if ((min && min->toDouble() > 0) || (max && max->toDouble() < 0)) {
    throw std::runtime_error("in the blocked layout numbers can be clamped to a range that has 0 in it");
  }
  at::Tensor numbers = flat(blocked);
  if (!clamp_alone(numbers, min ? min->toDouble() : -kInfinity, max ? max->toDouble() : kInfinity)) numbers.clamp_(min, max);
  return blocked;
}

at::Tensor max_pool2d(const at::Tensor& blocked, at::IntArrayRef kernel_size, at::IntArrayRef stride, at::IntArrayRef padding,
                      at::IntArrayRef dilation, bool ceil_mode) {
  const auto pool = [&](const at::Tensor& x) {
    return at::native::mkldnn_max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode);
  };
  // A sum is many times cheaper than the pooling, and finite unless something in it is not (or it overflows).
  if (std::isfinite(flat(blocked).sum().item<double>())) return pool(blocked);
  // oneDNN never finds NaN, and begins at the smallest number: so others stand for what is not finite meanwhile. The
  // result has to be oneDNN's own, as it holds what the gradient needs.
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const double largest = blocked.scalar_type() == at::kFloat ? std::numeric_limits<float>::max()
                                                             : static_cast<double>(std::numeric_limits<c10::BFloat16>::max());
  at::Tensor input = blocked.clone();
  at::Tensor numbers = flat(input);
  at::nan_to_num_(numbers, kInfinity, largest, -kInfinity);
  input.set_requires_grad(blocked.requires_grad());  // else it keeps no places of the maxima
  const at::Tensor result = pool(input);
  at::Tensor maxima = flat(result);
  maxima.masked_fill_(maxima.eq(kInfinity), kNaN);
  maxima.masked_fill_(maxima.eq(largest), kInfinity);
  maxima.masked_fill_(maxima.eq(-largest), -kInfinity);
  return result;
}

class Quiet : public c10::WarningHandler {
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning&) override {}
#else
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
#endif
};
#if TORCH_VERSION_MAJOR >= 2
using HandlerGuard = c10::WarningUtils::WarningHandlerGuard;
#else
using HandlerGuard = c10::Warning::WarningHandlerGuard;
#endif

// Once for the process. False where there is no blocked layout, or none whose memory can be reached.
bool replace_kernels() {
  if (!at::hasMKLDNN()) return false;
  const at::AutoDispatchBelowADInplaceOrView below;  // where the kernels will run
  const at::Tensor probe = at::full({1, 3, 2, 2}, 0.5f).to_mkldnn();
  const Memory memory = memory_of(probe);
  if (memory.data == nullptr || memory.bytes < 12 * 4 || flat(probe).sum().item<double>() != 6) return false;
  Quiet quiet;  // libtorch warns of a kernel that takes another's place
  const HandlerGuard guard(&quiet);
  static torch::Library library(torch::Library::IMPL, "aten", c10::DispatchKey::MkldnnCPU, __FILE__, __LINE__);
  library.impl("relu", relu);
  library.impl("relu_", relu_in_place);
  library.impl("clamp_", clamp_in_place);
  library.impl("mkldnn_max_pool2d", max_pool2d);
  return true;
}

// hasBlockedLayout() → whether this libtorch has oneDNN (once MKL-DNN) and its tensors' memory can be reached.
napi_value has_blocked_layout(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    static const bool has = replace_kernels();
    return from_bool(env, has);
  });
}

// isBlocked(handle) → whether a tensor has oneDNN's blocked layout.
napi_value is_blocked(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_bool(env, to_tensor(env, Arguments<1>(env, info)[0]).is_mkldnn()); });
}

}  // namespace

void register_blocked_layout(napi_env env, napi_value exports) {
  define(env, exports, "hasBlockedLayout", has_blocked_layout);
  define(env, exports, "isBlocked", is_blocked);
}

}  // namespace conquer
