// Work in pieces, on libtorch's number of threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace conquer {

// body(begin, end) over 0..count in pieces, on libtorch's number of threads, or as many of them as the system lets start.
// What a body throws is thrown here, when all threads have ended. Own threads: an OpenMP region would need its compiler
// flag, and a piece takes far longer than a thread to start.
template <typename F>
void in_parallel(int64_t count, int64_t piece, const F& body) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failing;
  const auto work = [&]() noexcept {
    try {
      for (int64_t begin = next.fetch_add(piece); begin < count; begin = next.fetch_add(piece)) {
        body(begin, std::min(count, begin + piece));
      }
    } catch (...) {
      next = count;
      const std::lock_guard<std::mutex> lock(failing);
      failure = std::current_exception();
    }
  };
  const int64_t pieces = (count + piece - 1) / piece;
  std::vector<std::thread> others;
  const int64_t wanted = std::min<int64_t>(at::get_num_threads(), pieces) - 1;
  if (wanted > 0) others.reserve(static_cast<size_t>(wanted));
  try {
    for (int64_t i = 0; i < wanted; ++i) others.emplace_back(work);
  } catch (const std::system_error&) {
    // No more threads to be had: those that run do all of the work.
  }
  work();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace conquer
