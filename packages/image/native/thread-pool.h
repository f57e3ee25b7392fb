// Threads that work through jobs, each a number of independent items.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "image.h"

namespace conquer {

class Job {
 public:
  // At most `threads` threads work on the job at once.
  Job(size_t items, size_t threads) : items_(items), threads_(threads) {}
  virtual ~Job() = default;

  // Called from any of the pool's threads, once for each item. Must not throw.
  virtual void work(size_t item, Workspace& space) = 0;
  // Whether the items that have not been started are to be left out.
  virtual bool cancelled() const = 0;

 private:
  friend class ThreadPool;
  const size_t items_;
  const size_t threads_;
  size_t next_ = 0;
  size_t active_ = 0;
};

class ThreadPool {
 public:
  // `done` is called from a thread of the pool when nothing works on the job any more; it may delete the job.
  explicit ThreadPool(std::function<void(Job*)> done) : done_(std::move(done)) {}
  // Waits for the items that were started, and deletes the jobs that are not done.
  ~ThreadPool() { stop(); }
  void stop();

  // Jobs, made with new, are started in the order they come. The pool grows to the most threads that any job asks for.
  void submit(Job* job);

 private:
  void run();
  Job* claim(size_t& item, Job*& finished);

  const std::function<void(Job*)> done_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> jobs_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

}  // namespace conquer
