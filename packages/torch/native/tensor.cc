// Tensors from and to JavaScript's memory, what they are (shape, dtype, device), and their end.
#include "environment.h"

#include <ATen/Functions.h>
#include <ATen/MemoryOverlap.h>

#include <cstring>

namespace conquer {

namespace {

// fromBuffer(typedArray, shape, dtype) → a new CPU tensor that holds a copy.
napi_value from_buffer(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    const auto shape = to_int64_list(env, arguments[1], "shape");
    const auto dtype = to_scalar_type(env, arguments[2]);
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    const HostView view(env, arguments[0], "the buffer");  // last: reading the shape may run getters
    if (tensor.nbytes() != view.bytes) {
      throw std::runtime_error("the buffer has " + std::to_string(view.bytes) + " bytes, the shape and dtype need " +
                               std::to_string(tensor.nbytes()));
    }
    if (view.bytes > 0) std::memcpy(tensor.data_ptr(), view.data, view.bytes);
    return from_tensor(env, std::move(tensor));
  });
}

// copyFromBuffer(handle, typedArray, byteOffset): host bytes into a contiguous CPU tensor.
napi_value copy_from_buffer(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    at::Tensor& tensor = to_tensor(env, arguments[0]);
    const HostView view(env, arguments[1], "the buffer");
    const int64_t offset = to_int64(env, arguments[2], "offset");
    if (!tensor.device().is_cpu() || !tensor.is_contiguous()) throw std::runtime_error("the tensor must be contiguous and on the CPU");
    if (offset < 0 || static_cast<uint64_t>(offset) > tensor.nbytes() || view.bytes > tensor.nbytes() - offset) {
      throw std::runtime_error(std::to_string(view.bytes) + " bytes at offset " + std::to_string(offset) +
                               " do not fit a tensor of " + std::to_string(tensor.nbytes()) + " bytes");
    }
    if (view.bytes > 0) std::memcpy(static_cast<char*>(tensor.data_ptr()) + offset, view.data, view.bytes);
    return undefined(env);
  });
}

// toBuffer(handle) → ArrayBuffer with the elements, row-major, from any device.
napi_value to_buffer(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<1> arguments(env, info);
    const at::Tensor tensor = to_tensor(env, arguments[0]).detach().to(at::kCPU).contiguous();
    void* data;
    napi_value buffer;
    check(napi_create_arraybuffer(env, tensor.nbytes(), &data, &buffer), "cannot allocate the buffer");
    if (tensor.nbytes() > 0) std::memcpy(data, tensor.data_ptr(), tensor.nbytes());
    return buffer;
  });
}

napi_value shape(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_int64_list(env, to_tensor(env, Arguments<1>(env, info)[0]).sizes()); });
}

napi_value strides(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_int64_list(env, to_tensor(env, Arguments<1>(env, info)[0]).strides()); });
}

napi_value dtype(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_string(env, dtype_name(to_tensor(env, Arguments<1>(env, info)[0]).scalar_type())); });
}

napi_value device(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return from_string(env, to_tensor(env, Arguments<1>(env, info)[0]).device().str()); });
}

napi_value item(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    return from_double(env, to_tensor(env, Arguments<1>(env, info)[0]).item().toDouble());
  });
}

napi_value dispose(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const double handle = to_double(env, Arguments<1>(env, info)[0], "a tensor handle");
    auto& tensors = Environment::of(env).tensors;
    const int64_t bytes = tensors.external_bytes(handle);
    tensors.erase(handle);
    if (bytes > 0) {
      int64_t total;
      check(napi_adjust_external_memory(env, -bytes, &total), "cannot tell the garbage collector");
    }
    return undefined(env);
  });
}

// leaveToCollector(handle): from now on only the garbage collector will free the tensor, so it is told of memory that it
// does not see, once for each storage that is worth it. Told of every tensor it would collect many times in a step.
napi_value leave_to_collector(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const double handle = to_double(env, Arguments<1>(env, info)[0], "a tensor handle");
    auto& tensors = Environment::of(env).tensors;
    const at::Tensor& tensor = tensors.at(handle);
    int64_t bytes = 0;
    if (tensor.has_storage() && tensor.storage().use_count() == 1) bytes = static_cast<int64_t>(tensor.storage().nbytes());
    if (tensor.is_mkldnn()) bytes = static_cast<int64_t>(tensor.nbytes());  // blocked: no storage of its own to ask
    if (bytes >= 65536 && tensors.external_bytes(handle) == 0) {
      int64_t total;
      check(napi_adjust_external_memory(env, bytes, &total), "cannot tell the garbage collector");
      tensors.external_bytes(handle) = bytes;
    }
    return undefined(env);
  });
}

napi_value live_tensors(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_double(env, static_cast<double>(Environment::of(env).tensors.live())); });
}

}  // namespace

void register_tensor(napi_env env, napi_value exports) {
  define(env, exports, "fromBuffer", from_buffer);
  define(env, exports, "copyFromBuffer", copy_from_buffer);
  define(env, exports, "toBuffer", to_buffer);
  define(env, exports, "shape", shape);
  define(env, exports, "strides", strides);
  define(env, exports, "dtype", dtype);
  define(env, exports, "device", device);
  define(env, exports, "item", item);
  define(env, exports, "leaveToCollector", leave_to_collector);
  define(env, exports, "dispose", dispose);
  define(env, exports, "liveTensors", live_tensors);
}

}  // namespace conquer
