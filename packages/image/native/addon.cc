// The addon's functions. Each of the asynchronous ones takes arrays with an entry for each image, and gives a promise
// that is resolved when all have been worked on, or the job was cancelled and nothing is under way any more. `images` are
// paths, [path, offset, length] of a part of a file, or Uint8Arrays of what would be in the files.
#include "checksum.h"
#include "environment.h"

namespace conquer {

std::string message_of(const std::exception& error) { return error.what(); }

namespace {

// cancel(job): the images that have not been begun are left out.
napi_value cancel(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<1> a(env, info);
    Environment::of(env).cancel(to_job(env, a[0]));
    return undefined(env);
  });
}

// checksum(bytes: Uint8Array): a number of 32 bits
napi_value checksum_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<1> a(env, info);
    const View<uint8_t> bytes(env, a[0], "bytes");
    return from_double(env, checksum(bytes.data, bytes.length));
  });
}

}  // namespace
}  // namespace conquer

NAPI_MODULE_INIT() {
  using namespace conquer;
  return guarded(env, [&] {
    keep_with(env, std::make_unique<Environment>(env));
    register_file_ids(env, exports);
    register_sizes(env, exports);
    register_files(env, exports);
    register_pixels(env, exports);
    register_warp(env, exports);
    define(env, exports, "cancel", cancel);
    define(env, exports, "checksum", checksum_of);
    return exports;
  });
}
