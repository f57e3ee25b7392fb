#include "thread-pool.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace conquer {
namespace {

struct Job {
  Job(int64_t pieces, const std::function<void(int64_t)>& each, int64_t others) : count(pieces), body(each), places(others) {}

  const int64_t count;
  const std::function<void(int64_t)>& body;  // of the caller, who stays until all pieces are done
  std::atomic<int64_t> places;               // for threads beside the caller
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;  // of what follows
  std::exception_ptr failure;
  std::condition_variable finished;

  void work() noexcept {
    for (int64_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        failure = std::current_exception();
      }
      if (done.fetch_add(1) + 1 == count) {
        const std::lock_guard<std::mutex> lock(mutex);
        finished.notify_one();
      }
    }
  }

  bool is_done() const { return done.load() == count; }
};

// How long a thread looks before it sleeps: waking it takes as long. It does not yield meanwhile, which on a machine with other work gives
// that a whole turn.
template <typename F>
void look(const F& is_there) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  while (!is_there() && std::chrono::steady_clock::now() < end) {
  }
}

// One caller's at a time. No mutex that is tried: glibc before 2.34 has that elsewhere (portable.cc).
struct Turn {
  explicit Turn(std::atomic_flag& taken) : flag(taken), mine(!taken.test_and_set(std::memory_order_acquire)) {}
  Turn(const Turn&) = delete;
  ~Turn() {
    if (mine) flag.clear(std::memory_order_release);
  }

  std::atomic_flag& flag;
  const bool mine;
};

class Pool {
 public:
  void run(int64_t count, const std::function<void(int64_t)>& body) {
    const Turn turn(busy_);
    const int64_t others = turn.mine ? std::min<int64_t>(at::get_num_threads(), count) - 1 : 0;
    const auto job = std::make_shared<Job>(count, body, others);
    if (others > 0) offer(job, others);
    job->work();
    look([&] { return job->is_done(); });
    std::unique_lock<std::mutex> lock(job->mutex);
    job->finished.wait(lock, [&] { return job->is_done(); });
    if (job->failure) std::rethrow_exception(job->failure);
  }

 private:
  void offer(const std::shared_ptr<Job>& job, int64_t others) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      ++offers_;
    }
    try {
      for (; threads_ < others; ++threads_) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      // No more threads to be had: those that run do all of the work.
    }
    wake_.notify_all();
  }

  void serve() noexcept {
    for (uint64_t seen = 0;;) {
      look([&] { return offers_.load() != seen; });
      std::shared_ptr<Job> job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return offers_.load() != seen; });
        seen = offers_.load();
        job = job_;
      }
      if (job->places.fetch_sub(1) > 0) job->work();
    }
  }

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;  // while a caller has the threads
  int64_t threads_ = 0;                       // that were started
  std::mutex mutex_;     // of what follows
  std::condition_variable wake_;
  std::shared_ptr<Job> job_;
  std::atomic<uint64_t> offers_{0};
};

}  // namespace

void on_kept_threads(int64_t count, const std::function<void(int64_t)>& body) {
  // Never destroyed: its threads end with the process, and the addon stays loaded as long (-z nodelete).
  static Pool& pool = *new Pool;
  pool.run(count, body);
}

}  // namespace conquer
