// Tensors from and to JavaScript's memory, what they are (shape, dtype, device), and their end.
#include "environment.h"

#include <ATen/Functions.h>
#include <ATen/MemoryOverlap.h>

#include <cstring>
#include <iomanip>
#include <sstream>

namespace conquer {

namespace {

// What a tensor would need, before it is asked for: any number of bytes, so that it is a double, which is exact as far as memory goes.
double bytes_of(const std::vector<int64_t>& shape, size_t element_size) {
  double bytes = static_cast<double>(element_size);
  for (const int64_t size : shape) {
    if (size == 0) return 0;
    if (size < 0) throw std::runtime_error("a shape has sizes of 0 or more, got " + std::to_string(size));
    bytes *= static_cast<double>(size);
  }
  return bytes;
}

// fromBuffer(typedArray, shape, dtype) → a new CPU tensor that holds a copy.
napi_value from_buffer(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    const auto shape = to_int64_list(env, arguments[1], "shape");
    const auto dtype = to_scalar_type(env, arguments[2]);
    const HostView view(env, arguments[0], "the buffer");  // last: reading the shape may run getters
    const double needed = bytes_of(shape, c10::elementSize(dtype));
    if (needed != static_cast<double>(view.bytes)) {
      std::ostringstream bytes;
      bytes << std::fixed << std::setprecision(0) << needed;
      throw std::runtime_error("the buffer has " + std::to_string(view.bytes) + " bytes, the shape and dtype need " + bytes.str());
    }
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
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
    tensor.unsafeGetTensorImpl()->bump_version();
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

// stateOf(handles) → a number that stands for these tensors with what is in them now: another one as soon as one of them is another
// tensor, has other memory or was changed in place.
napi_value state_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const napi_value list = Arguments<1>(env, info)[0];
    uint32_t count;
    check(napi_get_array_length(env, list, &count), "expected an array of tensors");
    auto& tensors = Environment::of(env).tensors;
    uint64_t state = count;
    const auto mix = [&](uint64_t value) {  // splitmix64's, a bijection of each value
      state = (state ^ value) + 0x9e3779b97f4a7c15;
      state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
      state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
      state ^= state >> 31;
    };
    for (uint32_t i = 0; i < count; ++i) {
      napi_value item;
      check(napi_get_element(env, list, i, &item), "cannot read the list of tensors");
      const double handle = to_double(env, item, "a tensor handle");
      const at::Tensor& tensor = tensors.at(handle);
      mix(static_cast<uint64_t>(handle));  // never given twice
      mix(static_cast<uint64_t>(tensor._version()));
      mix(tensor.has_storage() ? reinterpret_cast<uint64_t>(tensor.data_ptr()) : 0);
    }
    return from_double(env, static_cast<double>(state >> 11));
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
  define(env, exports, "stateOf", state_of);
  define(env, exports, "liveTensors", live_tensors);
}

}  // namespace conquer
