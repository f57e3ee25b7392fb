// The memory of the largest tensors on the CPU, kept between steps.
//
// Activations are freed and allocated anew in every step. The C library takes what is larger than its heaps from the
// system each time, page by page, cleared; and the heaps of all threads but the first have 64 MiB. Here a block that is
// freed waits for the next tensor of its size.
#include "environment.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace conquer {

#ifdef __linux__
namespace {

// Smaller ones are the C library's. Its heaps grow without end where sizes vary, as a service's batches do: larger blocks leave
// gaps that the next sizes do not fit into.
constexpr size_t kLeast = 1 << 20;

// A network that only embeds has few tensors at once, and of many sizes one after the other.
constexpr size_t kSpare = 256 << 20;

// In eight steps for each doubling: tensors of a batch of another size find blocks too.
size_t rounded(size_t bytes) {
  size_t step = 4096;
  while (bytes > step * 16) step *= 2;
  return (bytes + step - 1) / step * step;
}

class KeptMemory final : public c10::Allocator {
 public:
  // What libtorch's own allocator does for the rest.
  explicit KeptMemory(c10::Allocator* others) : others_(others) {}

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  c10::DataPtr allocate(size_t bytes) override { return allocated(bytes); }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }
#else
  c10::DataPtr allocate(size_t bytes) const override { return const_cast<KeptMemory*>(this)->allocated(bytes); }
#endif

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  // Never freed: tensors may outlive everything else.
  static KeptMemory& instance() {
    static auto* memory = new KeptMemory(c10::GetDefaultCPUAllocator());
    return *memory;
  }

 private:
  c10::DataPtr allocated(size_t bytes) {
    if (bytes < kLeast) return others_->allocate(bytes);
    void* block = take(rounded(bytes));
    return {block, block, &release, c10::Device(c10::DeviceType::CPU)};
  }

  // Of either kind: who has raw memory has nothing but the pointer.
  static void release(void* block) {
    KeptMemory& memory = instance();
    if (block != nullptr && !memory.put_back(block)) memory.others_->raw_deleter()(block);
  }

  void* take(size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto kept = kept_.lower_bound(size);
    while (kept != kept_.end() && kept->second.empty()) ++kept;
    void* block;
    if (kept == kept_.end() || kept->first > 2 * size) {
      block = mapped(size);
      sizes_.emplace(block, size);
    } else {
      size = kept->first;
      block = kept->second.back();
      kept->second.pop_back();
      kept_bytes_ -= size;
    }
    live_bytes_ += size;
    most_live_ = std::max(most_live_, live_bytes_);
    give_back();
    return block;
  }

  // Whether the block is one of these.
  bool put_back(void* block) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto known = sizes_.find(block);
    if (known == sizes_.end()) return false;
    const size_t size = known->second;
    live_bytes_ -= size;
    kept_bytes_ += size;
    kept_[size].push_back(block);
    give_back();
    return true;
  }

  void* mapped(size_t size) {
    for (;;) {
      void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block != MAP_FAILED) return block;
      if (kept_bytes_ == 0) break;
      give_back_largest();  // others may need it more
    }
    C10_THROW_ERROR(Error, c10::str("CPU memory: can't allocate memory: you tried to allocate ", size, " bytes."));
  }

  // Little more is held than tensors had at once: what a process needs at most is what it needs anyway.
  void give_back() {
    while (kept_bytes_ > 0 && live_bytes_ + kept_bytes_ > most_live_ + kSpare) give_back_largest();
  }

  void give_back_largest() {
    auto largest = kept_.rbegin();
    while (largest->second.empty()) ++largest;
    void* block = largest->second.back();
    largest->second.pop_back();
    kept_bytes_ -= largest->first;
    sizes_.erase(block);
    munmap(block, largest->first);
  }

  c10::Allocator* others_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> kept_;    // by size
  std::unordered_map<void*, size_t> sizes_;      // of all blocks, kept and live
  size_t live_bytes_ = 0;
  size_t kept_bytes_ = 0;
  size_t most_live_ = 0;
};

}  // namespace

bool keep_largest_tensors() {
  c10::SetCPUAllocator(&KeptMemory::instance());
  return true;
}
#else
bool keep_largest_tensors() { return false; }
#endif

}  // namespace conquer
