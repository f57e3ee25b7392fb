// A job with its promise, and the arrays that it fills.
//
// JavaScript may transfer, resize or shrink the memory of an array at any time, whether or not somebody holds the array. So
// no thread ever sees it: what is read is copied when a job begins, and what was written is copied when it has ended.
#pragma once

#include <atomic>
#include <initializer_list>

#include "node-api.h"
#include "thread-pool.h"

namespace conquer {

class Task : public Job {
 public:
  Task(size_t items, size_t threads) : Job(items, threads) {}

  bool cancelled() const override { return cancelled_.load(std::memory_order_relaxed); }
  void cancel() { cancelled_ = true; }

  void work(size_t item, Workspace& space) override {
    try {
      process(item, space);
    } catch (...) {
      // No memory. The entry says that it was not done.
    }
  }

  // Gives the promise. The arrays will be filled when the job has ended.
  napi_value begin(napi_env env, std::initializer_list<napi_value> arrays) { return deferred_.begin(env, arrays); }

  // Fills the arrays and settles the promise.
  void end(napi_env env) {
    try {
      fill(env);
    } catch (const std::exception& error) {
      return deferred_.reject(env, error);
    }
    deferred_.resolve(env);
  }

  // For a job that never began.
  void give_up(napi_env env) noexcept { deferred_.give_up(env); }

 protected:
  virtual void process(size_t item, Workspace& space) = 0;
  virtual void fill(napi_env env) = 0;

  // The array's memory as it is now.
  template <typename Element>
  Element* array(napi_env env, size_t index, size_t length) const {
    const View<Element> view(env, deferred_.held(env, index), "out");
    if (view.length == length) return view.data;
    throw std::runtime_error("an array was transferred, resized or shrunk while images were read into it: it must stay as it is "
                             "until the promise is settled");
  }

 private:
  std::atomic<bool> cancelled_{false};
  Deferred deferred_;
};

}  // namespace conquer
