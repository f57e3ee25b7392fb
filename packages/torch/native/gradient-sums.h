// Gradients that become their sums over a group's processes while the backward pass still computes others.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/variable.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "environment.h"
#include "process-group.h"

namespace conquer {

// DistributedDataParallel's way (Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020):
// parameters lie in buckets in their reverse order, about that in which backward comes to them. A hook after a gradient's
// accumulation copies it into its bucket, and a bucket that is full, with all before it, goes around in a thread of its own.
class GradientSums {
 public:
  // From now on each gradient that is accumulated is taken for whole.
  // @throws std::runtime_error for parameters that cannot be summed
  GradientSums(ProcessGroup& group, std::vector<at::Tensor> parameters, const Environment& environment);
  // Gives up what is not finished.
  ~GradientSums();
  GradientSums(const GradientSums&) = delete;

  // Waits for all buckets; the parameters have the sums then. One that has no gradient counts as 0; one that has none anywhere has none.
  // @throws what failed in an exchange
  void finish();

  // After a pass that failed: what failed in an exchange, if that was it.
  void abandon();

  // Told by the hooks. @throws once an exchange has failed, so that the pass ends
  void accumulated(size_t at);

 private:
  using Accumulator = decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));

  struct Slot {
    at::Tensor parameter;
    Accumulator accumulator;
    uintptr_t hook;
    size_t bucket;
    int64_t begin;  // in its bucket
    bool is_ready = false;
  };
  // All of one dtype. `flat`: the gradients, one after the other, and for each of them 1 where the process has one.
  struct Bucket {
    size_t first, count;
    int64_t numbers;
    size_t missing;
    at::Tensor flat;
  };

  void lay_out();
  std::string described() const;
  void take(size_t at);
  at::Tensor part_of(const Slot& slot) const;
  void exchange_all();
  void remove_hooks();
  void end_thread();

  ProcessGroup& group_;
  const Environment& environment_;
  std::vector<Slot> slots_;
  std::vector<Bucket> buckets_;
  std::mutex mutex_;  // of all below, and of what the hooks change above
  std::condition_variable changed_;
  size_t full_ = 0;  // buckets that are, from the first on
  bool ends_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace conquer
