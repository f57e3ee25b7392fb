// Module start, and the conversion of what libtorch has: tensors, dtypes, devices.
#include "environment.h"

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <ATen/Context.h>

#include <memory>
#include <random>

namespace conquer {

// Without the backtrace that libtorch appends.
std::string message_of(const std::exception& error) {
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&error)) return torch_error->what_without_backtrace();
  std::string message = error.what();
  const size_t backtrace = message.find("\nException raised from");
  if (backtrace != std::string::npos) message.resize(backtrace);
  return message;
}

std::vector<int64_t> to_int64_list(napi_env env, napi_value value, const char* what) {
  std::vector<int64_t> numbers;
  for_each_element(env, value, what, [&](napi_value element) { numbers.push_back(to_int64(env, element, what)); });
  return numbers;
}

namespace {
struct DTypeName {
  at::ScalarType type;
  const char* name;
};
constexpr DTypeName kDTypes[] = {
    {at::kFloat, "float32"},      {at::kDouble, "float64"}, {at::kHalf, "float16"},
    {at::kBFloat16, "bfloat16"},  {at::kLong, "int64"},     {at::kInt, "int32"},
    {at::kShort, "int16"},        {at::kChar, "int8"},      {at::kByte, "uint8"},
    {at::kBool, "bool"},          {at::kComplexFloat, "complex64"}, {at::kComplexDouble, "complex128"},
};
}  // namespace

const char* dtype_name(at::ScalarType type) {
  for (const auto& entry : kDTypes) {
    if (entry.type == type) return entry.name;
  }
  return c10::toString(type);
}

at::ScalarType to_scalar_type(napi_env env, napi_value value) {
  const std::string name = to_string(env, value, "dtype");
  std::string known;
  for (const auto& entry : kDTypes) {
    if (name == entry.name) return entry.type;
    known += std::string(known.empty() ? "" : ", ") + entry.name;
  }
  throw std::runtime_error("unknown dtype '" + name + "': expected one of " + known);
}

c10::Device to_device(napi_env env, napi_value value) {
  const std::string name = to_string(env, value, "device");
  const c10::Device device = [&] {
    try {
      return c10::Device(name);
    } catch (const c10::Error&) {  // which lists two dozen kinds of devices
      throw std::runtime_error("unknown device '" + name + "': expected cpu, cuda, or one of several such as cuda:0");
    }
  }();
  if (device.is_cuda() && !at::globalContext().hasCUDA()) {
    throw std::runtime_error("device '" + device.str() +
                             "' was asked for, but CUDA is not to be had: the linked libtorch was built without it, or "
                             "no NVIDIA driver was found. Use device 'cpu', or build against a CUDA libtorch "
                             "(LIBTORCH=/path/to/libtorch npm run setup)");
  }
  if (device.is_cuda() && device.has_index() && static_cast<size_t>(device.index()) >= at::getNumGPUs()) {
    throw std::runtime_error("device '" + device.str() + "' was asked for, but the CUDA devices here are numbered 0 to " +
                             std::to_string(at::getNumGPUs() - 1));
  }
  return device;
}

at::Tensor& to_tensor(napi_env env, napi_value value) {
  return Environment::of(env).tensors.at(to_double(env, value, "a tensor handle"));
}

const at::Tensor& require(const at::Tensor& tensor, const char* what, at::ScalarType type, int64_t dims) {
  if (tensor.scalar_type() != type || tensor.dim() != dims || !tensor.device().is_cpu() || !tensor.is_contiguous()) {
    throw std::runtime_error(std::string(what) + " must be contiguous " + dtype_name(type) + " with " + std::to_string(dims) +
                             " dimensions on the CPU");
  }
  return tensor;
}

std::vector<at::Tensor> to_tensor_list(napi_env env, napi_value value, const char* what) {
  std::vector<at::Tensor> tensors;
  for_each_element(env, value, what, [&](napi_value element) { tensors.push_back(to_tensor(env, element)); });
  return tensors;
}

napi_value from_int64_list(napi_env env, at::IntArrayRef values) {
  const napi_value result = new_array(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    set_element(env, result, i, from_double(env, static_cast<double>(values[i])));
  }
  return result;
}

napi_value from_tensor(napi_env env, at::Tensor tensor) {
  if (!tensor.defined()) return null(env);
  return from_double(env, Environment::of(env).tensors.insert(std::move(tensor)));
}

}  // namespace conquer

NAPI_MODULE_INIT() {
  return conquer::guarded(env, [&]() -> napi_value {
    std::random_device random;
    conquer::keep_with(env, std::make_unique<conquer::Environment>((uint64_t{random()} << 32) ^ random()));
    conquer::register_dispatch(env, exports);
    conquer::register_tensor(env, exports);
    conquer::register_autograd(env, exports);
    conquer::register_runtime(env, exports);
    conquer::register_neighbours(env, exports);
    conquer::register_packed_distances(env, exports);
    conquer::register_quantized_rows(env, exports);
    conquer::register_rank_counts(env, exports);
    conquer::register_centroid_bounds(env, exports);
    conquer::register_few_centroids(env, exports);
    conquer::register_row_graph(env, exports);
    conquer::register_row_map(env, exports);
    conquer::register_distance_weights(env, exports);
    conquer::register_adam(env, exports);
    conquer::register_normalize_rows(env, exports);
    conquer::register_row_distances(env, exports);
    conquer::register_self_products(env, exports);
    conquer::register_softmax_mean(env, exports);
    conquer::register_pixels(env, exports);
    conquer::register_blocked_layout(env, exports);
    conquer::register_convolution(env, exports);
    conquer::register_bfloat16_attention(env, exports);
    conquer::register_bfloat16_convolution(env, exports);
    conquer::register_bfloat16_kept_convolution(env, exports);
    conquer::register_depthwise(env, exports);
    conquer::register_gelu(env, exports);
    conquer::register_collectives(env, exports);
    conquer::register_gradient_sums(env, exports);
    conquer::register_batched_products();
    return exports;
  });
}
