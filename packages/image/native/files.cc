// Images out of their files.
#include "environment.h"
#include "image-file.h"
#include "jpeg.h"
#include "requests.h"
#include "source.h"

namespace conquer {
namespace {

class FilesTask : public RequestsTask {
 public:
  FilesTask(std::vector<Source> sources, Requests requests, double pixel_limit, Buffers& buffers, size_t threads)
      : RequestsTask(std::move(requests), buffers, threads), sources_(std::move(sources)), pixel_limit_(pixel_limit) {}

 protected:
  void process(size_t item, Workspace& space) override {
    outcome(item) = kOther;
    const Jpeg jpeg = jpeg_of(sources_[item], kMostFileBytes, space.file);
    if (jpeg.length == 0) return;
    switch (decode_jpeg(jpeg.bytes, jpeg.length, pixel_limit_, request(item), space, out(item))) {
      case Decoded::yes: outcome(item) = kDone; break;
      case Decoded::cut_short: outcome(item) = kShort; break;
      case Decoded::no: break;
    }
  }

 private:
  const std::vector<Source> sources_;
  const double pixel_limit_;
};

// decodeFiles(images, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, pixelLimit, threads, job)
napi_value decode_files(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    auto sources = to_sources(env, a[0], kMostFileBytes);
    const View<int32_t> numbers(env, a[1], "requests");
    const View<uint8_t> out(env, a[2], "out");
    const View<uint8_t> outcomes(env, a[3], "outcomes");
    const double limit = to_pixel_limit(env, a[4]);
    const size_t threads = to_threads(env, a[5]);
    const double job = to_job(env, a[6]);
    Requests requests(numbers, sources.size(), out, outcomes);
    auto task = std::make_unique<FilesTask>(std::move(sources), std::move(requests), limit, Environment::of(env).buffers(), threads);
    return Environment::of(env).submit(std::move(task), job, {a[2], a[3]});
  });
}

}  // namespace

void register_files(napi_env env, napi_value exports) { define(env, exports, "decodeFiles", decode_files); }

}  // namespace conquer
