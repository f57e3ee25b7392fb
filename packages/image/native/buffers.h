// The memory that jobs work in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace conquer {

// Memory for one job after the other: new memory costs about as much as resizing an image into it.
class Buffers {
 public:
  struct Buffer {
    std::unique_ptr<uint8_t[]> data;
    size_t size = 0;
  };

  Buffer take(size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto fits = [&](const Buffer& buffer) { return buffer.size >= size && buffer.size / 4 <= size; };
    const auto found = std::find_if(kept_.begin(), kept_.end(), fits);
    // Rows are read four bytes at a time: of the last pixel that is one too many.
    if (found == kept_.end()) return {std::unique_ptr<uint8_t[]>(new uint8_t[size + 1]), size};
    Buffer buffer = std::move(*found);
    kept_.erase(found);
    return buffer;
  }
  void give_back(Buffer buffer) noexcept {
    if (!buffer.data || buffer.size < kLeast || buffer.size > kLargest) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() == kMost) kept_.erase(kept_.begin());
    kept_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kMost = 4;
  static constexpr size_t kLeast = 4096;
  static constexpr size_t kLargest = size_t{1} << 26;
  std::mutex mutex_;
  std::vector<Buffer> kept_ = [] {
    std::vector<Buffer> some;
    some.reserve(kMost);
    return some;
  }();
};

// The copy of an array's bytes that a job works on.
class Copy {
 public:
  Copy(Buffers& buffers, const void* from, size_t size) : buffers_(buffers), buffer_(buffers.take(size)), size_(size) {
    if (from != nullptr && size > 0) std::memcpy(buffer_.data.get(), from, size);
  }
  ~Copy() { buffers_.give_back(std::move(buffer_)); }
  Copy(Copy&& other) noexcept : buffers_(other.buffers_), buffer_(std::move(other.buffer_)), size_(other.size_) {}
  Copy(const Copy&) = delete;

  template <typename Element = uint8_t>
  Element* as() const {
    return reinterpret_cast<Element*>(buffer_.data.get());
  }
  size_t size() const { return size_; }

 private:
  Buffers& buffers_;
  Buffers::Buffer buffer_;
  const size_t size_;
};

}  // namespace conquer
