#include "environment.h"

#include <algorithm>
#include <system_error>

namespace conquer {
namespace {

void stop_threads(void* pool) { static_cast<ThreadPool*>(pool)->stop(); }

}  // namespace

Environment::Environment(napi_env env) : env_(env), pool_([this](Job* job) { finished(static_cast<Task*>(job)); }) {
  napi_value name;
  check(napi_create_string_utf8(env, "conquer_image", NAPI_AUTO_LENGTH, &name), "no name");
  check(napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle, &settle_),
        "no threadsafe function");
  // Only work under way keeps the process alive.
  check(napi_unref_threadsafe_function(env, settle_), "no threadsafe function");
  // Hooks run in reverse order: this one stops the threads before the function that they call is taken down.
  check(napi_add_env_cleanup_hook(env, stop_threads, &pool_), "no cleanup hook");
}

napi_value Environment::submit(std::unique_ptr<Task> task, double job, std::initializer_list<napi_value> arrays) {
  try {
    const napi_value promise = task->begin(env_, arrays);
    under_way_.emplace_back(job, task.get());
    try {
      if (under_way_.size() == 1) check(napi_ref_threadsafe_function(env_, settle_), "cannot wait for a job");
      pool_.submit(task.get());
    } catch (...) {
      forget(task.get());
      throw;
    }
    task.release();
    return promise;
  } catch (const std::system_error& error) {
    task->give_up(env_);
    throw std::runtime_error(std::string("no thread can be started: ") + error.what());
  } catch (...) {
    task->give_up(env_);
    throw;
  }
}

void Environment::cancel(double job) {
  for (const auto& [number, task] : under_way_) {
    if (number == job) task->cancel();
  }
}

void Environment::forget(const Task* task) {
  under_way_.erase(std::remove_if(under_way_.begin(), under_way_.end(), [&](const auto& entry) { return entry.second == task; }),
                   under_way_.end());
  if (under_way_.empty()) check(napi_unref_threadsafe_function(env_, settle_), "cannot end waiting");
}

// Called from a thread of the pool. It is refused only where the environment is being taken down.
void Environment::finished(Task* task) {
  if (napi_call_threadsafe_function(settle_, task, napi_tsfn_nonblocking) != napi_ok) delete task;
}

void Environment::settle(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (!env) return;  // the environment is being taken down
  Environment& self = *static_cast<Environment*>(context);
  try {
    self.forget(task.get());
    task->end(env);
  } catch (const std::exception& error) {
    // Whoever awaits the promise would wait for ever; it fails only where no JavaScript can run any more.
    if (napi_throw_error(env, nullptr, error.what()) != napi_ok) return;
  }
}

double to_pixel_limit(napi_env env, napi_value value) {
  return static_cast<double>(to_integer(env, value, 1, int64_t{1} << 32, "pixelLimit"));
}

size_t to_threads(napi_env env, napi_value value) { return static_cast<size_t>(to_integer(env, value, 1, 1024, "threads")); }

double to_job(napi_env env, napi_value value) {
  return static_cast<double>(to_integer(env, value, 0, static_cast<int64_t>(kLargestInteger), "job"));
}

}  // namespace conquer
