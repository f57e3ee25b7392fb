// The sizes of images, from the headers of their files.
#include <algorithm>

#include "environment.h"
#include "image-file.h"
#include "jpeg.h"
#include "source.h"

namespace conquer {
namespace {

class SizesTask : public Task {
 public:
  SizesTask(std::vector<Source> sources, View<int32_t> sizes, double pixel_limit, size_t threads)
      : Task(sources.size(), threads), sources_(std::move(sources)), sizes_(sizes.data, sizes.data + sizes.length), pixel_limit_(pixel_limit) {
    sizes.expect(2 * sources_.size(), "sizes");
  }

 protected:
  void process(size_t item, Workspace& space) override {
    int width = 0;
    int height = 0;
    // A long header (a thumbnail, a profile) does not fit the first part.
    for (const size_t most : {kHeaderBytes, kMostFileBytes}) {
      const Jpeg jpeg = jpeg_of(sources_[item], most, space.file);
      if (jpeg.length == 0) return;
      if (jpeg_size(jpeg.bytes, jpeg.length, pixel_limit_, width, height)) {
        sizes_[2 * item] = width;
        sizes_[2 * item + 1] = height;
        return;
      }
      if (jpeg.whole) return;
    }
  }

  void fill(napi_env env) override {
    std::copy(sizes_.begin(), sizes_.end(), array<int32_t>(env, 0, sizes_.size()));
  }

 private:
  const std::vector<Source> sources_;
  std::vector<int32_t> sizes_;
  const double pixel_limit_;
};

// imageSizes(images, sizes: Int32Array, pixelLimit, threads, job): width and height of each, left as they are for
// what is not a JPEG that this addon decodes.
napi_value image_sizes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<5> a(env, info);
    // Of bytes whose header is longer there is no size here.
    auto sources = to_sources(env, a[0], kHeaderBytes);
    const View<int32_t> sizes(env, a[1], "sizes");
    const double limit = to_pixel_limit(env, a[2]);
    const size_t threads = to_threads(env, a[3]);
    const double job = to_job(env, a[4]);
    auto task = std::make_unique<SizesTask>(std::move(sources), sizes, limit, threads);
    return Environment::of(env).submit(std::move(task), job, {a[1]});
  });
}

}  // namespace

void register_sizes(napi_env env, napi_value exports) { define(env, exports, "imageSizes", image_sizes); }

}  // namespace conquer
