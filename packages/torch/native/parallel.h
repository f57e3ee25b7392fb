// Work in pieces, on libtorch's number of threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace conquer {

// body(begin, end) over 0..count in pieces, on libtorch's number of threads. Own threads: an OpenMP region would
// need its compiler flag, and a piece takes far longer than a thread to start.
template <typename F>
void in_parallel(int64_t count, int64_t piece, const F& body) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t begin = next.fetch_add(piece); begin < count; begin = next.fetch_add(piece)) {
      body(begin, std::min(count, begin + piece));
    }
  };
  const int64_t pieces = (count + piece - 1) / piece;
  std::vector<std::thread> others;
  for (int64_t i = 1; i < std::min<int64_t>(at::get_num_threads(), pieces); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace conquer
