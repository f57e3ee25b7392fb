// Module start, per-environment state, and the conversion of plain values.
#include "environment.h"

#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <ATen/Context.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <random>

namespace conquer {

Environment& Environment::of(napi_env env) {
  void* data = nullptr;
  check(napi_get_instance_data(env, &data), "cannot read the environment");
  if (data == nullptr) throw std::runtime_error("the environment is gone");
  return *static_cast<Environment*>(data);
}

void throw_error(napi_env env, const char* message) {
  // This fails where an exception is pending, which is thrown then, or where JavaScript does not run any more.
  if (napi_throw_error(env, nullptr, message) != napi_ok) return;
}

void throw_error(napi_env env, const std::exception& error) {
  std::string message;
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&error)) {
    message = torch_error->what_without_backtrace();
  } else {
    message = error.what();
    const size_t backtrace = message.find("\nException raised from");
    if (backtrace != std::string::npos) message.resize(backtrace);
  }
  throw_error(env, message.c_str());
}

void set_property(napi_env env, napi_value object, const char* name, napi_value value) {
  check(napi_set_named_property(env, object, name, value), name);
}

void set_element(napi_env env, napi_value array, size_t index, napi_value value) {
  check(napi_set_element(env, array, static_cast<uint32_t>(index), value), "cannot fill an array");
}

double to_double(napi_env env, napi_value value, const char* what) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    throw std::runtime_error(std::string(what) + " must be a number");
  }
  return number;
}

int64_t to_int64(napi_env env, napi_value value, const char* what) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), what);
  if (type == napi_bigint) {
    int64_t number;
    bool lossless;
    check(napi_get_value_bigint_int64(env, value, &number, &lossless), what);
    if (!lossless) throw std::runtime_error(std::string(what) + " does not fit 64 bits");
    return number;
  }
  const double number = to_double(env, value, what);
  if (!(std::abs(number) <= 9007199254740992.0) || std::trunc(number) != number) {
    throw std::runtime_error(std::string(what) + " must be an integer, got " + std::to_string(number));
  }
  return static_cast<int64_t>(number);
}

bool to_bool(napi_env env, napi_value value, const char* what) {
  bool flag;
  if (napi_get_value_bool(env, value, &flag) != napi_ok) {
    throw std::runtime_error(std::string(what) + " must be a boolean");
  }
  return flag;
}

std::string to_string(napi_env env, napi_value value, const char* what) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw std::runtime_error(std::string(what) + " must be a string");
  }
  std::string text(length, '\0');
  check(napi_get_value_string_utf8(env, value, text.data(), length + 1, &length), what);
  return text;
}

std::vector<int64_t> to_int64_list(napi_env env, napi_value value, const char* what) {
  bool is_array = false;
  check(napi_is_array(env, value, &is_array), what);
  if (!is_array) throw std::runtime_error(std::string(what) + " must be an array of integers");
  uint32_t length;
  check(napi_get_array_length(env, value, &length), what);
  std::vector<int64_t> numbers;
  numbers.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(napi_get_element(env, value, i, &element), what);
    numbers.push_back(to_int64(env, element, what));
  }
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
  bool is_array = false;
  check(napi_is_array(env, value, &is_array), what);
  if (!is_array) throw std::runtime_error(std::string(what) + " must be an array of tensors");
  uint32_t length;
  check(napi_get_array_length(env, value, &length), what);
  std::vector<at::Tensor> tensors;
  tensors.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(napi_get_element(env, value, i, &element), what);
    tensors.push_back(to_tensor(env, element));
  }
  return tensors;
}

napi_value from_double(napi_env env, double value) {
  napi_value result;
  check(napi_create_double(env, value, &result), "cannot create a number");
  return result;
}

napi_value from_bool(napi_env env, bool value) {
  napi_value result;
  check(napi_get_boolean(env, value, &result), "cannot create a boolean");
  return result;
}

napi_value from_string(napi_env env, const std::string& value) {
  napi_value result;
  check(napi_create_string_utf8(env, value.data(), value.size(), &result), "cannot create a string");
  return result;
}

napi_value from_int64_list(napi_env env, at::IntArrayRef values) {
  napi_value result;
  check(napi_create_array_with_length(env, values.size(), &result), "cannot create an array");
  for (size_t i = 0; i < values.size(); ++i) {
    set_element(env, result, i, from_double(env, static_cast<double>(values[i])));
  }
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result;
  check(napi_get_undefined(env, &result), "cannot create undefined");
  return result;
}

napi_value from_tensor(napi_env env, at::Tensor tensor) {
  if (!tensor.defined()) {
    napi_value null;
    check(napi_get_null(env, &null), "cannot create null");
    return null;
  }
  return from_double(env, Environment::of(env).tensors.insert(std::move(tensor)));
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function), name);
  set_property(env, exports, name, function);
}

}  // namespace conquer

NAPI_MODULE_INIT() {
  return conquer::guarded(env, [&]() -> napi_value {
    std::random_device random;
    auto environment = std::make_unique<conquer::Environment>((uint64_t{random()} << 32) ^ random());
    conquer::check(napi_set_instance_data(
                       env, environment.get(),
                       [](napi_env, void* data, void*) { delete static_cast<conquer::Environment*>(data); }, nullptr),
                   "cannot keep the environment");
    environment.release();  // the environment's own from here on
    conquer::register_dispatch(env, exports);
    conquer::register_tensor(env, exports);
    conquer::register_autograd(env, exports);
    conquer::register_runtime(env, exports);
    conquer::register_neighbours(env, exports);
    conquer::register_centroid_bounds(env, exports);
    conquer::register_distance_weights(env, exports);
    conquer::register_adam(env, exports);
    conquer::register_pixels(env, exports);
    conquer::register_blocked_layout(env, exports);
    return exports;
  });
}
