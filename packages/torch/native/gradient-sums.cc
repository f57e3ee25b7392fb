#include "gradient-sums.h"

#include "collectives.h"

#include <ATen/Functions.h>
#include <ATen/TensorUtils.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>

#include <utility>

namespace conquer {
namespace {

constexpr size_t kBucket = 4 << 20;  // bytes from which on a bucket takes no more

// A gradient lies as its parameter does, as those that autograd accumulates.
std::vector<int64_t> part_strides(const at::Tensor& parameter) {
  if (parameter.is_non_overlapping_and_dense()) return parameter.strides().vec();
  return at::detail::defaultStrides(parameter.sizes());
}

// What is summed gets as much memory as a parameter has numbers: an expanded one has any number of them, and one on 'meta' none.
void require_memory(const at::Tensor& parameter) {
  const size_t there = parameter.is_meta() ? 0 : parameter.storage().nbytes() / parameter.element_size();
  if (static_cast<size_t>(parameter.numel()) <= there) return;
  throw std::runtime_error("expected parameters whose numbers each have memory of their own, got one of " + std::to_string(parameter.numel()) +
                           " numbers in memory of " + std::to_string(there));
}

class AfterAccumulation : public torch::autograd::FunctionPostHook {
 public:
  AfterAccumulation(GradientSums& sums, size_t at) : sums_(sums), at_(at) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) override {
    sums_.accumulated(at_);
    return outputs;
  }

 private:
  GradientSums& sums_;
  const size_t at_;
};

}  // namespace

GradientSums::GradientSums(ProcessGroup& group, std::vector<at::Tensor> parameters, const Environment& environment)
    : group_(group), environment_(environment) {
  for (size_t i = parameters.size(); i-- > 0;) {
    at::Tensor& parameter = parameters[i];
    const at::ScalarType type = parameter.scalar_type();
    if ((type != at::kFloat && type != at::kDouble) || parameter.layout() != at::kStrided || !parameter.is_leaf() || !parameter.requires_grad()) {
      throw std::runtime_error(std::string("expected parameters that learn, of float32 or float64, got ") + dtype_name(type));
    }
    require_memory(parameter);
    slots_.push_back({std::move(parameter), nullptr, 0, 0, 0});
  }
  lay_out();
  try {
    for (size_t at = 0; at < slots_.size(); ++at) {
      Slot& slot = slots_[at];
      slot.accumulator = torch::autograd::impl::grad_accumulator(slot.parameter);
      slot.hook = slot.accumulator->add_post_hook(std::make_unique<AfterAccumulation>(*this, at));
    }
    thread_ = std::thread([this] { exchange_all(); });
  } catch (...) {
    remove_hooks();
    throw;
  }
}

GradientSums::~GradientSums() {
  remove_hooks();
  if (thread_.joinable()) {
    group_.give_up();
    end_thread();
  }
}

void GradientSums::lay_out() {
  for (size_t at = 0; at < slots_.size(); ++at) {
    const at::Tensor& parameter = slots_[at].parameter;
    const auto is_full = [&](const Bucket& bucket) {
      const at::Tensor& first = slots_[bucket.first].parameter;
      return first.scalar_type() != parameter.scalar_type() || static_cast<size_t>(bucket.numbers) * first.element_size() >= kBucket;
    };
    if (buckets_.empty() || is_full(buckets_.back())) buckets_.push_back({at, 0, 0, 0, {}});
    Bucket& bucket = buckets_.back();
    slots_[at].bucket = buckets_.size() - 1;
    slots_[at].begin = bucket.numbers;
    bucket.numbers += parameter.numel();
    bucket.missing = ++bucket.count;
  }
}

// What has to be alike on all ranks.
std::string GradientSums::described() const {
  uint64_t hash = 0xcb'f2'9c'e4'84'22'23'25;  // FNV-1a
  const auto add = [&](int64_t number) { hash = (hash ^ static_cast<uint64_t>(number)) * 0x100'00'00'01'b3; };
  for (const Slot& slot : slots_) {
    add(static_cast<int64_t>(slot.parameter.scalar_type()));
    add(slot.parameter.dim());
    for (const int64_t size : slot.parameter.sizes()) add(size);
    for (const int64_t stride : part_strides(slot.parameter)) add(stride);
  }
  return "sumGradients of " + std::to_string(slots_.size()) + " parameters (" + std::to_string(hash) + ")";
}

void GradientSums::accumulated(size_t at) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure_) throw std::runtime_error("an exchange of gradients failed");
  if (slots_[at].is_ready) throw std::runtime_error("expected one backward pass, got a second gradient of a parameter");
  take(at);
}

// With the lock held.
void GradientSums::take(size_t at) {
  const at::NoGradGuard guard;
  Slot& slot = slots_[at];
  Bucket& bucket = buckets_[slot.bucket];
  if (!bucket.flat.defined()) {
    const int64_t length = bucket.numbers + static_cast<int64_t>(bucket.count);
    bucket.flat = at::empty({length}, slot.parameter.options().device(at::kCPU).requires_grad(false));
  }
  at::Tensor& gradient = slot.parameter.mutable_grad();
  at::Tensor part = part_of(slot);
  if (gradient.defined()) part.copy_(gradient);
  else part.zero_();
  bucket.flat[bucket.numbers + static_cast<int64_t>(at - bucket.first)].fill_(gradient.defined() ? 1 : 0);
  gradient = at::Tensor();  // its memory is needed for the next ones
  slot.is_ready = true;
  --bucket.missing;
  const size_t before = full_;
  while (full_ < buckets_.size() && buckets_[full_].missing == 0) ++full_;
  if (full_ != before) changed_.notify_one();
}

at::Tensor GradientSums::part_of(const Slot& slot) const {
  return buckets_[slot.bucket].flat.as_strided(slot.parameter.sizes(), part_strides(slot.parameter), slot.begin);
}

void GradientSums::exchange_all() {
  const FlushDenormals flush(environment_);
  try {
    agree(group_, described(), nullptr);
    for (size_t at = 0; at < buckets_.size(); ++at) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return full_ > at || ends_; });
        if (full_ <= at) return;
      }
      sum_over_ranks(group_, buckets_[at].flat);
    }
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure_ = std::current_exception();
  }
}

void GradientSums::finish() {
  remove_hooks();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t at = 0; at < slots_.size() && !failure_; ++at) {
      if (!slots_[at].is_ready) take(at);
    }
  }
  end_thread();
  if (failure_) std::rethrow_exception(failure_);
  const at::NoGradGuard guard;
  for (const Bucket& bucket : buckets_) {
    const at::Tensor have = bucket.flat.narrow(0, bucket.numbers, static_cast<int64_t>(bucket.count)).to(at::kDouble);
    for (size_t i = 0; i < bucket.count; ++i) {
      Slot& slot = slots_[bucket.first + i];
      if (have.data_ptr<double>()[i] > 0) slot.parameter.mutable_grad() = part_of(slot).to(slot.parameter.device());
    }
  }
}

void GradientSums::abandon() {
  remove_hooks();
  std::exception_ptr failure;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    failure = failure_;
  }
  group_.give_up();
  end_thread();
  if (failure) std::rethrow_exception(failure);
}

void GradientSums::remove_hooks() {
  for (Slot& slot : slots_) {
    if (slot.accumulator) slot.accumulator->del_post_hook(slot.hook);
    slot.accumulator = nullptr;
  }
}

void GradientSums::end_thread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

namespace {

// beginGradientSums(group, parameters): until endGradientSums each of them takes part in one backward pass.
napi_value begin(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    ProcessGroup& group = group_of(env, arguments[0]);
    group.gradients = std::make_shared<GradientSums>(group, to_tensor_list(env, arguments[1], "parameters"), Environment::of(env));
    return undefined(env);
  });
}

// endGradientSums(group, whole): whole: the pass is over; else it failed, and so has the group.
napi_value end(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    ProcessGroup& group = group_of(env, arguments[0], true);
    const bool whole = to_bool(env, arguments[1], "whole");
    if (group.gradients == nullptr) throw std::runtime_error("no gradients are being summed");
    const std::shared_ptr<GradientSums> sums = std::move(group.gradients);
    if (whole) sums->finish();
    else sums->abandon();
    return undefined(env);
  });
}

}  // namespace

void register_gradient_sums(napi_env env, napi_value exports) {
  define(env, exports, "beginGradientSums", begin);
  define(env, exports, "endGradientSums", end);
}

}  // namespace conquer
