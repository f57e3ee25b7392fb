// Which files paths lead to.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <string>

#include "environment.h"

namespace conquer {
namespace {

// Paths that a thread takes at once: to ask for one takes no longer than to claim it.
constexpr size_t kBlock = 256;

class FileIdsTask : public Task {
 public:
  FileIdsTask(std::vector<std::string> paths, size_t threads)
      : Task((paths.size() + kBlock - 1) / kBlock, threads), paths_(std::move(paths)), ids_(4 * paths_.size()), sizes_(paths_.size(), -1) {}

 protected:
  void process(size_t item, Workspace&) override {
    const size_t end = std::min(paths_.size(), (item + 1) * kBlock);
    for (size_t i = item * kBlock; i < end; ++i) {
      // stat() would ask for a C library of 2021, as that is when it became a function of it.
      struct statx found;
      if (paths_[i].empty() || statx(AT_FDCWD, paths_[i].c_str(), 0, STATX_INO | STATX_SIZE, &found) != 0) continue;
      put(4 * i, makedev(found.stx_dev_major, found.stx_dev_minor));
      put(4 * i + 2, found.stx_ino);
      sizes_[i] = static_cast<double>(found.stx_size);
    }
  }

  void fill(napi_env env) override {
    std::copy(ids_.begin(), ids_.end(), array<int32_t>(env, 0, ids_.size()));
    std::copy(sizes_.begin(), sizes_.end(), array<double>(env, 1, sizes_.size()));
  }

 private:
  void put(size_t at, uint64_t number) {
    ids_[at] = static_cast<int32_t>(static_cast<uint32_t>(number));
    ids_[at + 1] = static_cast<int32_t>(static_cast<uint32_t>(number >> 32));
  }

  const std::vector<std::string> paths_;
  std::vector<int32_t> ids_;
  std::vector<double> sizes_;
};

// fileIds(paths, ids: Int32Array, sizes: Float64Array, threads, job): of the file that each leads to, through links, device and
// inode, the low half of each before the high one; and its bytes, -1 where there is none that can be asked for.
napi_value file_ids(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<5> a(env, info);
    std::vector<std::string> paths;
    for_each_element(env, a[0], "paths", [&](napi_value element) {
      paths.push_back(to_string(env, element, "paths"));
      // The system would ask for the file of the shorter name.
      if (paths.back().find('\0') != std::string::npos) paths.back().clear();
    });
    View<int32_t>(env, a[1], "ids").expect(4 * paths.size(), "ids");
    View<double>(env, a[2], "sizes").expect(paths.size(), "sizes");
    const size_t threads = to_threads(env, a[3]);
    const double job = to_job(env, a[4]);
    auto task = std::make_unique<FileIdsTask>(std::move(paths), threads);
    return Environment::of(env).submit(std::move(task), job, {a[1], a[2]});
  });
}

}  // namespace

void register_file_ids(napi_env env, napi_value exports) { define(env, exports, "fileIds", file_ids); }

}  // namespace conquer
