#include "thread-pool.h"

#include <algorithm>
#include <system_error>

namespace conquer {

void ThreadPool::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const Job* job : jobs_) delete job;
  jobs_.clear();
}

void ThreadPool::submit(Job* job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // A job of few items needs few threads.
    const size_t wanted = std::max<size_t>(1, std::min(job->threads_, job->items_));
    while (threads_.size() < wanted) {
      try {
        threads_.emplace_back([this] { run(); });
      } catch (const std::system_error&) {
        if (threads_.empty()) throw;
        break;
      }
    }
    jobs_.push_back(job);
  }
  wake_.notify_all();
}

// The next item of the first job that takes another thread, or a job that has come to its end; null: nothing to do.
Job* ThreadPool::claim(size_t& item, Job*& finished) {
  for (auto job = jobs_.begin(); job != jobs_.end(); ++job) {
    Job& current = **job;
    if (current.cancelled()) current.next_ = current.items_;
    if (current.next_ == current.items_) {
      if (current.active_ > 0) continue;
      finished = &current;
      jobs_.erase(job);
      return nullptr;
    }
    if (current.active_ == current.threads_) continue;
    item = current.next_++;
    current.active_++;
    return &current;
  }
  return nullptr;
}

void ThreadPool::run() {
  Workspace space;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    size_t item = 0;
    Job* finished = nullptr;
    Job* job = claim(item, finished);
    if (job) {
      lock.unlock();
      job->work(item, space);
      lock.lock();
      job->active_--;
    } else if (finished) {
      lock.unlock();
      done_(finished);
      lock.lock();
    } else {
      wake_.wait(lock);
    }
  }
}

}  // namespace conquer
