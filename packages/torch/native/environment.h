// The state of one Node.js environment (main thread or worker): its tensors, generators and operator cache.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "node-api.h"

namespace conquer {

// Values by integer handle: slot + generation * 2^24. JavaScript holds only the number, so a stale, foreign or
// invented handle is an error and never a wild pointer. Generations start at a number of the environment's own.
template <typename T>
class HandleTable {
 public:
  static constexpr uint64_t kSlots = uint64_t{1} << 24;
  static constexpr uint64_t kGenerations = uint64_t{1} << 28;

  explicit HandleTable(uint64_t seed) : first_generation_(1 + seed % (kGenerations / 2)) {}

  double insert(T value) {
    uint64_t slot;
    if (free_.empty()) {
      if (entries_.size() == kSlots) throw std::runtime_error("more than 16,777,216 live handles: dispose some");
      slot = entries_.size();
      entries_.push_back({T(), first_generation_, false, 0});
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    Entry& entry = entries_[slot];
    entry.value = std::move(value);
    entry.used = true;
    ++live_;
    return static_cast<double>(slot + entry.generation * kSlots);
  }

  T& at(double handle) { return entry(handle).value; }

  // Bytes that were reported to the garbage collector for this handle.
  int64_t& external_bytes(double handle) { return entry(handle).external_bytes; }

  void erase(double handle) {
    Entry& e = entry(handle);
    const uint64_t slot = static_cast<uint64_t>(&e - entries_.data());
    T released = std::move(e.value);  // destroyed at the end, when the table is consistent again
    e.value = T();
    e.used = false;
    e.external_bytes = 0;
    e.generation = e.generation + 1 == kGenerations ? 1 : e.generation + 1;
    free_.push_back(slot);
    --live_;
  }

  size_t live() const { return live_; }

 private:
  struct Entry {
    T value;
    uint64_t generation;
    bool used;
    int64_t external_bytes;
  };

  Entry& entry(double handle) {
    if (!(handle >= 0 && handle < 9007199254740992.0)) throw std::runtime_error("not a tensor or generator handle");
    const uint64_t bits = static_cast<uint64_t>(handle);
    const uint64_t slot = bits % kSlots;
    if (static_cast<double>(bits) != handle || slot >= entries_.size() || !entries_[slot].used ||
        entries_[slot].generation != bits / kSlots) {
      throw std::runtime_error("the handle was disposed, or belongs to another thread");
    }
    return entries_[slot];
  }

  uint64_t first_generation_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> free_;
  size_t live_ = 0;
};

// How an argument is read, found out once from the operator's schema. `other` is read by its type, at every call.
enum class Reading { tensor, integer, real, flag, other };

struct Parameter {
  Reading reading;
  bool optional;  // takes null
  const c10::Argument* argument;
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  // For each return: the index of the argument it aliases in place (add_, out=), or -1 for a new value.
  std::vector<int> alias_of_argument;
};

class ProcessGroup;

struct Environment {
  explicit Environment(uint64_t seed) : tensors(seed), generators(seed + 1) {}
  HandleTable<at::Tensor> tensors;
  HandleTable<at::Generator> generators;
  std::deque<Operator> operators;  // the functions made of them point here
  std::vector<std::shared_ptr<ProcessGroup>> groups;  // that it is in, or was
  bool flush_denormals = false;

  static Environment& of(napi_env env) { return kept_with<Environment>(env); }
};

// Denormal numbers count as zero while libtorch works, where that was asked for. Only then: the flag is the thread's,
// and JavaScript needs its denormals. libtorch's own threads are started while it holds, and keep it.
class FlushDenormals {
 public:
  explicit FlushDenormals(const Environment& environment) : on_(environment.flush_denormals) {
    if (on_) at::globalContext().setFlushDenormal(true);
  }
  ~FlushDenormals() {
    if (on_) at::globalContext().setFlushDenormal(false);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  const bool on_;
};

// JavaScript → C++, what is not in node-api.h.
std::vector<int64_t> to_int64_list(napi_env env, napi_value value, const char* what);
at::ScalarType to_scalar_type(napi_env env, napi_value value);
c10::Device to_device(napi_env env, napi_value value);
at::Tensor& to_tensor(napi_env env, napi_value value);
// The tensor, if kernels may read its elements in order.
const at::Tensor& require(const at::Tensor& tensor, const char* what, at::ScalarType type, int64_t dims);
std::vector<at::Tensor> to_tensor_list(napi_env env, napi_value value, const char* what);

// C++ → JavaScript.
napi_value from_int64_list(napi_env env, at::IntArrayRef values);
napi_value from_tensor(napi_env env, at::Tensor tensor);  // a new handle; null for an undefined tensor
const char* dtype_name(at::ScalarType type);

// One registration function a file.
void register_dispatch(napi_env env, napi_value exports);
void register_tensor(napi_env env, napi_value exports);
void register_autograd(napi_env env, napi_value exports);
void register_runtime(napi_env env, napi_value exports);
void register_neighbours(napi_env env, napi_value exports);
void register_packed_distances(napi_env env, napi_value exports);
void register_quantized_rows(napi_env env, napi_value exports);
void register_rank_counts(napi_env env, napi_value exports);
void register_centroid_bounds(napi_env env, napi_value exports);
void register_few_centroids(napi_env env, napi_value exports);
void register_row_graph(napi_env env, napi_value exports);
void register_row_map(napi_env env, napi_value exports);
void register_distance_weights(napi_env env, napi_value exports);
void register_adam(napi_env env, napi_value exports);
void register_normalize_rows(napi_env env, napi_value exports);
void register_row_distances(napi_env env, napi_value exports);
void register_self_products(napi_env env, napi_value exports);
void register_softmax_mean(napi_env env, napi_value exports);
void register_pixels(napi_env env, napi_value exports);
void register_blocked_layout(napi_env env, napi_value exports);
void register_convolution(napi_env env, napi_value exports);
void register_bfloat16_attention(napi_env env, napi_value exports);
void register_bfloat16_convolution(napi_env env, napi_value exports);
void register_bfloat16_kept_convolution(napi_env env, napi_value exports);
void register_depthwise(napi_env env, napi_value exports);
void register_gelu(napi_env env, napi_value exports);
void register_collectives(napi_env env, napi_value exports);
void register_gradient_sums(napi_env env, napi_value exports);
void register_batched_products();  // which are libtorch's own operators

}  // namespace conquer
