// What belongs to the process or the thread: random generators, the number of threads, devices, the version.
#include "environment.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/version.h>

#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace conquer {

bool keep_largest_tensors();  // kept-memory.cc
namespace {

at::Generator& to_generator(napi_env env, napi_value value) {
  return Environment::of(env).generators.at(to_double(env, value, "a generator handle"));
}

uint64_t to_seed(napi_env env, napi_value value) {
  const int64_t seed = to_int64(env, value, "seed");
  if (seed < 0) throw std::runtime_error("a seed must not be negative");
  return static_cast<uint64_t>(seed);
}

// newGenerator(device, seed) → handle. A copy of the device's default one, so no CUDA header is needed.
napi_value new_generator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    at::Generator generator = at::globalContext().defaultGenerator(to_device(env, arguments[0])).clone();
    generator.set_current_seed(to_seed(env, arguments[1]));
    return from_double(env, Environment::of(env).generators.insert(std::move(generator)));
  });
}

napi_value seed_generator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    at::Generator& generator = to_generator(env, arguments[0]);
    const uint64_t seed = to_seed(env, arguments[1]);
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
    return undefined(env);
  });
}

// generatorState(handle) → a uint8 tensor, the same bytes as PyTorch's get_state().
napi_value generator_state(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    at::Generator& generator = to_generator(env, Arguments<1>(env, info)[0]);
    std::lock_guard<std::mutex> lock(generator.mutex());
    return from_tensor(env, generator.get_state());
  });
}

napi_value set_generator_state(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    at::Generator& generator = to_generator(env, arguments[0]);
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(to_tensor(env, arguments[1]));
    return undefined(env);
  });
}

napi_value dispose_generator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Environment::of(env).generators.erase(to_double(env, Arguments<1>(env, info)[0], "a generator handle"));
    return undefined(env);
  });
}

// manualSeed(seed): the default generators of every device, as torch.manual_seed.
napi_value manual_seed(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const uint64_t seed = to_seed(env, Arguments<1>(env, info)[0]);
    auto set = [&](at::Generator generator) {
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_current_seed(seed);
    };
    set(at::globalContext().defaultGenerator(c10::Device(c10::kCPU)));
    if (at::globalContext().hasCUDA()) {
      const int64_t count = static_cast<int64_t>(at::getNumGPUs());
      for (int64_t i = 0; i < count; ++i) {
        set(at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(i))));
      }
    }
    return undefined(env);
  });
}

// Whether a number of threads was chosen, by anybody in the process: it is the same for all of its threads.
std::atomic<bool> threads_chosen{false};

int to_num_threads(napi_env env, napi_value value) {
  const int64_t count = to_int64(env, value, "the number of threads");
  if (count < 1 || count > 1024) throw std::runtime_error("the number of threads must be 1 to 1024, got " + std::to_string(count));
  return static_cast<int>(count);
}

// How many of `count` threads the system lets start, at once. OpenMP ends the process where it cannot start one.
int startable_threads(int count) {
  std::mutex gate;
  gate.lock();  // none ends before all have been started
  std::vector<std::thread> started;
  started.reserve(static_cast<size_t>(count));
  try {
    while (started.size() < static_cast<size_t>(count)) {
      started.emplace_back([&] { const std::lock_guard<std::mutex> wait(gate); });
    }
  } catch (const std::system_error&) {
  }
  gate.unlock();
  for (std::thread& thread : started) thread.join();
  return static_cast<int>(started.size());
}

napi_value set_num_threads(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const int count = to_num_threads(env, Arguments<1>(env, info)[0]);
    // The thread that calls is one of them.
    const int able = 1 + startable_threads(count - 1);
    if (able < count) {
      throw std::runtime_error("expected to use " + std::to_string(count) + " threads, but the system lets only " +
                               std::to_string(able) + " run: use fewer, or raise its limit of processes (ulimit -u)");
    }
    threads_chosen = true;
    at::set_num_threads(count);
    return undefined(env);
  });
}

// setDefaultNumThreads(count): as many, or what the system lets run, unless a number was chosen already.
napi_value set_default_num_threads(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const int count = to_num_threads(env, Arguments<1>(env, info)[0]);
    if (!threads_chosen.exchange(true)) at::set_num_threads(1 + startable_threads(count - 1));
    return undefined(env);
  });
}

napi_value num_threads(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_double(env, at::get_num_threads()); });
}

// setFlushDenormal(enabled) → false where the processor cannot. It holds inside of libtorch, see FlushDenormals.
napi_value set_flush_denormal(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const bool enabled = to_bool(env, Arguments<1>(env, info)[0], "enabled");
    const bool able = at::globalContext().setFlushDenormal(enabled);
    at::globalContext().setFlushDenormal(false);
    Environment::of(env).flush_denormals = enabled && able;
    return from_bool(env, able);
  });
}

// keepFreedMemory() → false where the C library has no such setting. Activations are freed and allocated anew in every
// step; by default glibc gives the large ones back to the system, which hands them out again page by page, cleared. The
// largest tensors are kept apart, in kept-memory.cc.
napi_value keep_freed_memory(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
#ifdef __GLIBC__
    constexpr int kLargestMmapThreshold = 32 << 20;  // glibc takes no larger one
    // Threads other than the first have heaps of 64 MiB each, and an empty one goes unless so much is to stay in front.
    constexpr int kTopPad = 128 << 20;
    const bool able = keep_largest_tensors() && mallopt(M_MMAP_THRESHOLD, kLargestMmapThreshold) == 1 &&
                      mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1 && mallopt(M_TOP_PAD, kTopPad) == 1;
#else
    const bool able = false;
#endif
    return from_bool(env, able);
  });
}

// useDeterministicAlgorithms(enabled): what has no such algorithm warns, it does not fail.
napi_value use_deterministic_algorithms(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const bool enabled = to_bool(env, Arguments<1>(env, info)[0], "enabled");
    at::globalContext().setDeterministicAlgorithms(enabled, true);
    at::globalContext().setDeterministicCuDNN(enabled);
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
    // Memory that an operator is about to fill need not be filled with NaN before, which PyTorch does for debugging.
    at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
    return undefined(env);
  });
}

napi_value cuda_device_count(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    return from_double(env, at::globalContext().hasCUDA() ? static_cast<double>(at::getNumGPUs()) : 0);
  });
}

// cudaComputesBfloat16() → whether the card has units for it, as far as libtorch says so: by what its convolutions take.
napi_value cuda_computes_bfloat16(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    const bool has_card = at::globalContext().hasCUDA() && at::getNumGPUs() > 0;
    return from_bool(env, has_card && at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8());
  });
}

napi_value version(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_string(env, TORCH_VERSION); });
}

// showConfig(): what libtorch was built with and which instructions of the processor it uses, in words.
napi_value show_config(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return from_string(env, at::show_config()); });
}

}  // namespace

void register_runtime(napi_env env, napi_value exports) {
  define(env, exports, "newGenerator", new_generator);
  define(env, exports, "seedGenerator", seed_generator);
  define(env, exports, "generatorState", generator_state);
  define(env, exports, "setGeneratorState", set_generator_state);
  define(env, exports, "disposeGenerator", dispose_generator);
  define(env, exports, "manualSeed", manual_seed);
  define(env, exports, "setNumThreads", set_num_threads);
  define(env, exports, "setDefaultNumThreads", set_default_num_threads);
  define(env, exports, "numThreads", num_threads);
  define(env, exports, "setFlushDenormal", set_flush_denormal);
  define(env, exports, "keepFreedMemory", keep_freed_memory);
  define(env, exports, "useDeterministicAlgorithms", use_deterministic_algorithms);
  define(env, exports, "cudaDeviceCount", cuda_device_count);
  define(env, exports, "cudaComputesBfloat16", cuda_computes_bfloat16);
  define(env, exports, "version", version);
  define(env, exports, "showConfig", show_config);
}

}  // namespace conquer
