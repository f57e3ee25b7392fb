// Gradients: backward, grad, leaf flags, grad mode and autocast (both belong to the calling thread).
#include "environment.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/version.h>

#include <memory>
#include <utility>
#include <vector>

namespace conquer {
namespace {

// backward(outputs, gradients, retainGraph): gradients is empty for scalar outputs.
napi_value backward(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    FlushDenormals flush(Environment::of(env));
    torch::autograd::backward(to_tensor_list(env, arguments[0], "outputs"), to_tensor_list(env, arguments[1], "gradients"),
                              to_bool(env, arguments[2], "retainGraph"));
    return undefined(env);
  });
}

// Empties a tensor, for whoever has it.
void empty_in_place(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  const at::Tensor tiny = tensor.is_mkldnn() ? at::ones({1}).to_mkldnn() : at::empty({0}, tensor.options());
  if (at::_has_compatible_shallow_copy_type(tensor, tiny)) tensor.unsafeGetTensorImpl()->shallow_copy_from(tiny.getIntrusivePtr());
}

// Behind the first function of a backward pass: what this was given, and what is differentiated, it alone needs, unless it hands them on.
class EmptyAfterFirst : public torch::autograd::FunctionPostHook {
 public:
  explicit EmptyAfterFirst(std::vector<const at::Tensor*> tensors) : tensors_(std::move(tensors)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) override {
    for (const at::Tensor* tensor : tensors_) {
      bool is_handed_on = false;
      for (const at::Tensor& output : outputs) is_handed_on = is_handed_on || output.is_same(*tensor);
      if (!is_handed_on) empty_in_place(*tensor);
    }
    tensors_.clear();
    return outputs;
  }

 private:
  std::vector<const at::Tensor*> tensors_;
};

// backwardAndEmpty(output, gradient): once, and as soon as nothing needs them any more both are emptied, of which no caller could free the
// memory before the end.
napi_value backward_and_empty(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    FlushDenormals flush(Environment::of(env));
    const at::Tensor output = to_tensor(env, arguments[0]), gradient = to_tensor(env, arguments[1]);
    const auto function = output.grad_fn();  // of another kind of pointer in each version
    if (function == nullptr) {
      torch::autograd::backward({output}, {gradient});
      return undefined(env);
    }
    const auto hook = function->add_post_hook(std::make_unique<EmptyAfterFirst>(std::vector<const at::Tensor*>{&output, &gradient}));
    try {
      torch::autograd::backward({output}, {gradient});
    } catch (...) {
      function->del_post_hook(hook);
      throw;
    }
    function->del_post_hook(hook);
    return undefined(env);
  });
}

// grad(outputs, inputs, gradients, allowUnused) → one gradient an input, null where it is unused.
napi_value grad(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<4> arguments(env, info);
    FlushDenormals flush(Environment::of(env));
    auto gradients = torch::autograd::grad(
        to_tensor_list(env, arguments[0], "outputs"), to_tensor_list(env, arguments[1], "inputs"),
        to_tensor_list(env, arguments[2], "gradients"), c10::nullopt, false, to_bool(env, arguments[3], "allowUnused"));
    const napi_value result = new_array(env, gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      set_element(env, result, i, from_tensor(env, std::move(gradients[i])));
    }
    return result;
  });
}

napi_value gradient(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_tensor(env, to_tensor(env, Arguments<1>(env, info)[0]).grad()); });
}

// setGradient(handle, handle | null)
napi_value set_gradient(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    at::Tensor& tensor = to_tensor(env, arguments[0]);
    if (is_null(env, arguments[1])) {
      tensor.mutable_grad() = at::Tensor();
      return undefined(env);
    }
    const at::Tensor& value = to_tensor(env, arguments[1]);
    if (value.sizes() != tensor.sizes() || value.scalar_type() != tensor.scalar_type() || value.device() != tensor.device()) {
      throw std::runtime_error("a gradient needs the shape, dtype and device of its tensor");
    }
    tensor.mutable_grad() = value;
    return undefined(env);
  });
}

napi_value requires_grad(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_bool(env, to_tensor(env, Arguments<1>(env, info)[0]).requires_grad()); });
}

napi_value set_requires_grad(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    to_tensor(env, arguments[0]).requires_grad_(to_bool(env, arguments[1], "requiresGrad"));
    return undefined(env);
  });
}

napi_value is_leaf(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_bool(env, to_tensor(env, Arguments<1>(env, info)[0]).is_leaf()); });
}

napi_value grad_enabled(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_bool(env, c10::GradMode::is_enabled()); });
}

napi_value set_grad_enabled(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    c10::GradMode::set_enabled(to_bool(env, Arguments<1>(env, info)[0], "enabled"));
    return undefined(env);
  });
}

// setAutocast(device 'cpu' | 'cuda', enabled, dtype): clears the cache of casted weights when it ends.
napi_value set_autocast(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    const c10::Device device = to_device(env, arguments[0]);
    const bool enabled = to_bool(env, arguments[1], "enabled");
    const at::ScalarType dtype = to_scalar_type(env, arguments[2]);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_enabled(device.type(), enabled);
    at::autocast::set_autocast_dtype(device.type(), dtype);
#else
    if (device.is_cuda()) {
      at::autocast::set_enabled(enabled);
      at::autocast::set_autocast_gpu_dtype(dtype);
    } else {
      at::autocast::set_cpu_enabled(enabled);
      at::autocast::set_autocast_cpu_dtype(dtype);
    }
#endif
    if (!enabled) at::autocast::clear_cache();
    return undefined(env);
  });
}

}  // namespace

void register_autograd(napi_env env, napi_value exports) {
  define(env, exports, "backward", backward);
  define(env, exports, "backwardAndEmpty", backward_and_empty);
  define(env, exports, "grad", grad);
  define(env, exports, "gradient", gradient);
  define(env, exports, "setGradient", set_gradient);
  define(env, exports, "requiresGrad", requires_grad);
  define(env, exports, "setRequiresGrad", set_requires_grad);
  define(env, exports, "isLeaf", is_leaf);
  define(env, exports, "gradEnabled", grad_enabled);
  define(env, exports, "setGradEnabled", set_grad_enabled);
  define(env, exports, "setAutocast", set_autocast);
}

}  // namespace conquer
