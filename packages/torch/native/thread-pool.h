// Threads that are kept, for work of which there is a lot in small pieces: a layer of a network for one image.
#pragma once

#include <cstdint>
#include <functional>

namespace conquer {

// body(i) for 0..count, on libtorch's number of threads; what a body throws is thrown here. The caller works too and waits for pieces that
// are under way alone, not for threads that have not woken: on a machine with other work that takes longer than a layer. Of two
// callers at once the second works by itself.
void on_kept_threads(int64_t count, const std::function<void(int64_t)>& body);

}  // namespace conquer
