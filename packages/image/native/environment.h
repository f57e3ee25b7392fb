// What an environment (the main thread, a worker) has of its own: its threads, its jobs under way, and their memory.
#pragma once

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "buffers.h"
#include "node-api.h"
#include "task.h"
#include "thread-pool.h"

namespace conquer {

class Environment {
 public:
  explicit Environment(napi_env env);

  static Environment& of(napi_env env) { return kept_with<Environment>(env); }

  Buffers& buffers() { return buffers_; }

  // Starts the task, and gives its promise. The arrays are filled when it has ended.
  // job: the number by which it is cancelled
  napi_value submit(std::unique_ptr<Task> task, double job, std::initializer_list<napi_value> arrays);

  // What is not under way any more is not cancelled.
  void cancel(double job);

 private:
  void forget(const Task* task);
  void finished(Task* task);
  static void settle(napi_env env, napi_value, void* context, void* data);

  const napi_env env_;
  Buffers buffers_;
  napi_threadsafe_function settle_ = nullptr;
  std::vector<std::pair<double, Task*>> under_way_;
  ThreadPool pool_;
};

// Arguments that several entries take.
double to_pixel_limit(napi_env env, napi_value value);
size_t to_threads(napi_env env, napi_value value);
double to_job(napi_env env, napi_value value);

// One registration function a file.
void register_file_ids(napi_env env, napi_value exports);
void register_sizes(napi_env env, napi_value exports);
void register_files(napi_env env, napi_value exports);
void register_pixels(napi_env env, napi_value exports);
void register_warp(napi_env env, napi_value exports);

}  // namespace conquer
