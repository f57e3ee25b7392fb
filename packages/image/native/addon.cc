// The addon's functions. Each of the asynchronous ones takes arrays with an entry for each image, and gives a promise
// that is resolved when all have been worked on, or the flag `cancel[0]` was set and nothing is under way any more.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <node_api.h>

#include "checksum.h"
#include "jpeg.h"
#include "thread-pool.h"
#include "warp.h"

namespace conquer {
namespace {

// Of an image: not worked on; done; not a JPEG for this addon; the file does not hold what was written there; a JPEG
// without an end.
enum Outcome : uint8_t { kOpen = 0, kDone = 1, kOther = 2, kDamaged = 3, kShort = 4 };

constexpr size_t kHeaderBytes = 1 << 16;
constexpr size_t kMostFileBytes = size_t{1} << 30;
constexpr size_t kRequestNumbers = 8;
constexpr size_t kPlaceNumbers = 5;
constexpr size_t kMatrixNumbers = 6;

// A file that is open for reading.
class File {
 public:
  explicit File(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;

  // Bytes of a regular file; 0 for anything else.
  size_t length() const {
    struct stat entry;
    if (descriptor_ < 0 || fstat(descriptor_, &entry) != 0 || !S_ISREG(entry.st_mode)) return 0;
    return static_cast<size_t>(entry.st_size);
  }
  int descriptor() const { return descriptor_; }

 private:
  const int descriptor_;
};

bool read_fully(int descriptor, uint8_t* out, size_t length, size_t offset) {
  while (length > 0) {
    const ssize_t read = pread(descriptor, out, length, static_cast<off_t>(offset));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return false;
    out += read;
    length -= static_cast<size_t>(read);
    offset += static_cast<size_t>(read);
  }
  return true;
}

// The first bytes of a JPEG file, up to all of it; 0 for any other file.
size_t read_jpeg(const File& file, size_t length, size_t most, std::vector<uint8_t>& bytes) {
  const size_t start = std::min({length, most, kHeaderBytes});
  if (start < 4 || length > kMostFileBytes) return 0;
  if (bytes.size() < start) bytes.resize(start);
  if (!read_fully(file.descriptor(), bytes.data(), start, 0) || bytes[0] != 0xFF || bytes[1] != 0xD8) return 0;
  const size_t whole = std::min(length, most);
  if (bytes.size() < whole) bytes.resize(whole);
  return read_fully(file.descriptor(), bytes.data() + start, whole - start, start) ? whole : 0;
}

void check(napi_status status, const char* what) {
  if (status != napi_ok) throw std::invalid_argument(what);
}

// A typed array; it stays where it is while a reference to it is held.
template <typename Element>
struct View {
  Element* data = nullptr;
  size_t length = 0;

  View(napi_env env, napi_value value, napi_typedarray_type wanted, const char* name) {
    bool is = false;
    napi_typedarray_type type;
    void* start = nullptr;
    if (napi_is_typedarray(env, value, &is) != napi_ok || !is ||
        napi_get_typedarray_info(env, value, &type, &length, &start, nullptr, nullptr) != napi_ok || type != wanted) {
      throw std::invalid_argument(std::string(name) + ": expected another kind of typed array");
    }
    data = static_cast<Element*>(start);
  }

  void expect(size_t wanted, const char* name) const {
    if (length == wanted) return;
    throw std::invalid_argument(std::string(name) + ": expected " + std::to_string(wanted) + " elements, got " +
                                std::to_string(length));
  }
};

size_t to_count(napi_env env, napi_value value, double most, const char* name) {
  double number = -1;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 1 && number <= most)) {
    throw std::invalid_argument(std::string(name) + ": expected a number from 1 to " + std::to_string(most));
  }
  return static_cast<size_t>(number);
}

std::vector<std::string> to_paths(napi_env env, napi_value value) {
  uint32_t count = 0;
  check(napi_get_array_length(env, value, &count), "paths: expected an array");
  std::vector<std::string> paths(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    size_t length = 0;
    check(napi_get_element(env, value, i, &element), "paths: cannot be read");
    check(napi_get_value_string_utf8(env, element, nullptr, 0, &length), "paths: expected strings");
    std::string& path = paths[i];
    path.resize(length);
    check(napi_get_value_string_utf8(env, element, &path[0], length + 1, &length), "paths: expected strings");
    // The system would open the file of the shorter name.
    if (path.find('\0') != std::string::npos) path.clear();
  }
  return paths;
}

// A job with its promise, and the arrays that it reads and writes.
class Task : public Job {
 public:
  Task(size_t items, size_t threads, const View<int32_t>& cancel) : Job(items, threads), cancel_(cancel.data) {}

  bool cancelled() const override { return __atomic_load_n(cancel_, __ATOMIC_RELAXED) != 0; }

  void work(size_t item, Workspace& space) override {
    try {
      process(item, space);
    } catch (const std::bad_alloc&) {
      // The entry says that it was not done.
    }
  }

  void hold(napi_env env, std::initializer_list<napi_value> arrays) {
    for (const napi_value array : arrays) {
      references_.emplace_back();
      check(napi_create_reference(env, array, 1, &references_.back()), "cannot hold an array");
    }
  }
  napi_value promise(napi_env env) {
    napi_value result;
    check(napi_create_promise(env, &deferred_, &result), "cannot make a promise");
    return result;
  }
  void release(napi_env env) {
    for (const napi_ref reference : references_) napi_delete_reference(env, reference);
    references_.clear();
  }
  void resolve(napi_env env) {
    release(env);
    napi_value undefined;
    napi_get_undefined(env, &undefined);
    napi_resolve_deferred(env, deferred_, undefined);
  }

 protected:
  virtual void process(size_t item, Workspace& space) = 0;

 private:
  const int32_t* const cancel_;
  std::vector<napi_ref> references_;
  napi_deferred deferred_ = nullptr;
};

class SizesTask : public Task {
 public:
  SizesTask(std::vector<std::string> paths, View<int32_t> sizes, double pixel_limit, size_t threads,
            const View<int32_t>& cancel)
      : Task(paths.size(), threads, cancel), paths_(std::move(paths)), sizes_(sizes.data), pixel_limit_(pixel_limit) {
    sizes.expect(2 * paths_.size(), "sizes");
  }

 protected:
  void process(size_t item, Workspace& space) override {
    const File file(paths_[item].c_str());
    const size_t length = file.length();
    int width = 0;
    int height = 0;
    // A long header (a thumbnail, a profile) does not fit the first part.
    for (const size_t most : {kHeaderBytes, kMostFileBytes}) {
      const size_t read = read_jpeg(file, length, most, space.file);
      if (read == 0) return;
      if (jpeg_size(space.file.data(), read, pixel_limit_, width, height)) {
        sizes_[2 * item] = width;
        sizes_[2 * item + 1] = height;
        return;
      }
      if (read == length) return;
    }
  }

 private:
  const std::vector<std::string> paths_;
  int32_t* const sizes_;
  const double pixel_limit_;
};

// The requests of a job, and where each result goes: one after the other.
struct Requests {
  std::vector<Request> requests;
  std::vector<size_t> places;

  Requests(View<int32_t> numbers, size_t count, View<uint8_t> out, View<uint8_t> outcomes) {
    numbers.expect(kRequestNumbers * count, "requests");
    outcomes.expect(count, "outcomes");
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
      const int32_t* n = numbers.data + kRequestNumbers * i;
      if (n[4] < 1 || n[5] < 1 || n[4] > 65535 || n[5] > 65535) {
        throw std::invalid_argument("requests: expected sizes from 1 to 65535");
      }
      requests.push_back({n[0], n[1], n[2], n[3], n[4], n[5], n[6] != 0, n[7] != 0});
      places.push_back(place);
      place += static_cast<size_t>(n[4]) * static_cast<size_t>(n[5]) * 3;
    }
    out.expect(place, "out");
  }
};

class FilesTask : public Task {
 public:
  FilesTask(std::vector<std::string> paths, Requests requests, View<uint8_t> out, View<uint8_t> outcomes,
            double pixel_limit, size_t threads, const View<int32_t>& cancel)
      : Task(paths.size(), threads, cancel),
        paths_(std::move(paths)),
        requests_(std::move(requests)),
        out_(out.data),
        outcomes_(outcomes.data),
        pixel_limit_(pixel_limit) {}

 protected:
  void process(size_t item, Workspace& space) override {
    outcomes_[item] = kOther;
    const File file(paths_[item].c_str());
    const size_t length = read_jpeg(file, file.length(), kMostFileBytes, space.file);
    if (length == 0) return;
    const Request& request = requests_.requests[item];
    uint8_t* out = out_ + requests_.places[item];
    switch (decode_jpeg(space.file.data(), length, pixel_limit_, request, space, out)) {
      case Decoded::yes: outcomes_[item] = kDone; break;
      case Decoded::cut_short: outcomes_[item] = kShort; break;
      case Decoded::no: break;
    }
  }

 private:
  const std::vector<std::string> paths_;
  const Requests requests_;
  uint8_t* const out_;
  uint8_t* const outcomes_;
  const double pixel_limit_;
};

// An image in a file or an array of pixels: height×width×3 bytes from `offset` on.
struct Place {
  size_t offset;
  int width, height;
  uint32_t checksum;
  bool verify;
};

// Where the pixels of images are: in an open file, or where there is none in `bytes`.
struct Pixels {
  int descriptor;
  const uint8_t* bytes;
  size_t length;
};

class PixelsTask : public Task {
 public:
  PixelsTask(Pixels pixels, View<double> places, Requests requests, View<uint8_t> out, View<uint8_t> outcomes,
             size_t threads, const View<int32_t>& cancel)
      : Task(requests.requests.size(), threads, cancel),
        pixels_(pixels),
        requests_(std::move(requests)),
        out_(out.data),
        outcomes_(outcomes.data) {
    const size_t count = requests_.requests.size();
    places.expect(kPlaceNumbers * count, "places");
    for (size_t i = 0; i < count; i++) {
      const double* n = places.data + kPlaceNumbers * i;
      if (!(n[0] >= 0 && n[0] < 0x1p53 && n[1] >= 1 && n[1] <= 65535 && n[2] >= 1 && n[2] <= 65535 && n[3] >= 0 &&
            n[3] < 0x1p32)) {
        throw std::invalid_argument("places: out of range");
      }
      places_.push_back({static_cast<size_t>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2]),
                         static_cast<uint32_t>(n[3]), n[4] != 0});
      const size_t end = places_.back().offset + static_cast<size_t>(n[1]) * static_cast<size_t>(n[2]) * 3;
      if (pixels.descriptor < 0 && end > pixels.length) throw std::invalid_argument("places: outside of the pixels");
    }
  }

 protected:
  void process(size_t item, Workspace& space) override {
    outcomes_[item] = kDamaged;
    const Request& request = requests_.requests[item];
    const Place& place = places_[item];
    uint8_t* out = out_ + requests_.places[item];
    Box box;
    if (!wanted_box(request, place.width, place.height, box)) {
      outcomes_[item] = kOther;
      return;
    }
    const size_t row_bytes = static_cast<size_t>(place.width) * 3;
    const int first = std::max(0, static_cast<int>(std::floor(box.top)));
    const int last = std::min(place.height, static_cast<int>(std::ceil(box.top + box.height)));
    const int first_column = std::max(0, static_cast<int>(std::floor(box.left)));
    const int last_column = std::min(place.width, static_cast<int>(std::ceil(box.left + box.width)));
    const size_t start = place.verify ? 0 : first * row_bytes;
    const size_t length = (place.verify ? place.height : last - first) * row_bytes;
    const uint8_t* bytes = pixels_.bytes + place.offset + start;
    if (pixels_.descriptor >= 0) {
      if (space.file.size() < length + 1) space.file.resize(length + 1);
      if (!read_fully(pixels_.descriptor, space.file.data(), length, place.offset + start)) return;
      bytes = space.file.data();
    }
    if (place.verify && checksum(bytes, length) != place.checksum) return;

    const size_t out_bytes = static_cast<size_t>(request.out_width) * 3;
    const size_t rows = static_cast<size_t>(last - first);
    const uint8_t* row = bytes + (first * row_bytes - start) + static_cast<size_t>(first_column) * 3;
    // In whole pixels and of the size that is there, nothing is resized.
    if (box.left == first_column && box.top == first && box.width == request.out_width &&
        box.height == request.out_height && !request.flip) {
      for (size_t y = 0; y < rows; y++, row += row_bytes) std::memcpy(out + y * out_bytes, row, out_bytes);
      outcomes_[item] = kDone;
      return;
    }
    triangle_filter(box.left - first_column, box.left - first_column + box.width, last_column - first_column,
                    request.out_width, request.flip, space.across);
    triangle_filter(box.top - first, box.top - first + box.height, last - first, request.out_height, false, space.down);
    if (space.rows.size() < rows * out_bytes + 1) space.rows.resize(rows * out_bytes + 1);
    for (size_t y = 0; y < rows; y++, row += row_bytes) {
      resize_row_rgb(row, space.across, space.rows.data() + y * out_bytes);
    }
    resize_columns(space.rows.data(), out_bytes, space.down, out);
    outcomes_[item] = kDone;
  }

 private:
  const Pixels pixels_;
  const Requests requests_;
  std::vector<Place> places_;
  uint8_t* const out_;
  uint8_t* const outcomes_;
};

class WarpTask : public Task {
 public:
  WarpTask(View<uint8_t> pixels, int side, View<float> matrices, int fill, int out_side, View<uint8_t> out, size_t threads,
           const View<int32_t>& cancel)
      : Task(matrices.length / kMatrixNumbers, threads, cancel),
        pixels_(pixels.data),
        side_(side),
        matrices_(matrices.data),
        fill_(fill),
        out_side_(out_side),
        out_(out.data) {
    const size_t count = matrices.length / kMatrixNumbers;
    matrices.expect(count * kMatrixNumbers, "matrices");
    pixels.expect(count * bytes(side), "pixels");
    out.expect(count * bytes(out_side), "out");
  }

 protected:
  void process(size_t item, Workspace&) override {
    warp_rgb(pixels_ + item * bytes(side_), side_, matrices_ + item * kMatrixNumbers, fill_, out_side_,
             out_ + item * bytes(out_side_));
  }

 private:
  static size_t bytes(int side) { return static_cast<size_t>(side) * static_cast<size_t>(side) * 3; }

  const uint8_t* const pixels_;
  const int side_;
  const float* const matrices_;
  const int fill_;
  const int out_side_;
  uint8_t* const out_;
};

// What an environment (the main thread, a worker) has of its own.
class Environment {
 public:
  explicit Environment(napi_env env) : env_(env), pool_([this](Job* job) { finished(static_cast<Task*>(job)); }) {
    napi_value name;
    check(napi_create_string_utf8(env, "conquer_image", NAPI_AUTO_LENGTH, &name), "no name");
    check(napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle, &settle_),
          "no threadsafe function");
    // Only work under way keeps the process alive.
    check(napi_unref_threadsafe_function(env, settle_), "no threadsafe function");
    // Hooks run in reverse order: this one stops the threads before the function that they call is taken down.
    check(napi_add_env_cleanup_hook(env, clean, this), "no cleanup hook");
  }

  napi_value submit(std::unique_ptr<Task> task, std::initializer_list<napi_value> arrays) {
    task->hold(env_, arrays);
    const napi_value promise = task->promise(env_);
    try {
      pool_.submit(task.get());
    } catch (const std::exception&) {
      task->release(env_);
      throw;
    }
    task.release();
    if (under_way_++ == 0) napi_ref_threadsafe_function(env_, settle_);
    return promise;
  }

 private:
  void finished(Task* task) {
    if (napi_call_threadsafe_function(settle_, task, napi_tsfn_nonblocking) != napi_ok) delete task;
  }

  static void settle(napi_env env, napi_value, void* context, void* data) {
    const std::unique_ptr<Task> task(static_cast<Task*>(data));
    if (!env) return;  // the environment is being taken down
    Environment& self = *static_cast<Environment*>(context);
    if (--self.under_way_ == 0) napi_unref_threadsafe_function(env, self.settle_);
    task->resolve(env);
  }

  static void clean(void* data) { static_cast<Environment*>(data)->pool_.stop(); }

  const napi_env env_;
  napi_threadsafe_function settle_ = nullptr;
  size_t under_way_ = 0;
  ThreadPool pool_;
};

template <typename Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    napi_throw_type_error(env, nullptr, error.what());
    return nullptr;
  }
}

template <size_t Count>
struct Arguments {
  napi_value values[Count];
  Environment* environment;

  Arguments(napi_env env, napi_callback_info info) {
    size_t count = Count;
    void* data = nullptr;
    check(napi_get_cb_info(env, info, &count, values, nullptr, nullptr), "no arguments");
    check(napi_get_instance_data(env, &data), "no environment");
    environment = static_cast<Environment*>(data);
    if (count != Count || !environment) {
      throw std::invalid_argument("expected " + std::to_string(Count) + " arguments, got " + std::to_string(count));
    }
  }
};

View<int32_t> to_cancel(napi_env env, napi_value value) {
  const View<int32_t> cancel(env, value, napi_int32_array, "cancel");
  cancel.expect(1, "cancel");
  return cancel;
}

constexpr double kMostThreads = 1024;
constexpr double kMostPixels = 0x1p32;

// imageSizes(paths, sizes: Int32Array, pixelLimit, threads, cancel): width and height of each, left as they are for
// what is not a JPEG that this addon decodes.
napi_value image_sizes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<5> a(env, info);
    auto paths = to_paths(env, a.values[0]);
    const View<int32_t> sizes(env, a.values[1], napi_int32_array, "sizes");
    const double limit = static_cast<double>(to_count(env, a.values[2], kMostPixels, "pixelLimit"));
    const size_t threads = to_count(env, a.values[3], kMostThreads, "threads");
    const View<int32_t> cancel = to_cancel(env, a.values[4]);
    auto task = std::make_unique<SizesTask>(std::move(paths), sizes, limit, threads, cancel);
    return a.environment->submit(std::move(task), {a.values[1], a.values[4]});
  });
}

// decodeFiles(paths, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, pixelLimit, threads, cancel)
napi_value decode_files(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    auto paths = to_paths(env, a.values[0]);
    const View<int32_t> numbers(env, a.values[1], napi_int32_array, "requests");
    const View<uint8_t> out(env, a.values[2], napi_uint8_array, "out");
    const View<uint8_t> outcomes(env, a.values[3], napi_uint8_array, "outcomes");
    const double limit = static_cast<double>(to_count(env, a.values[4], kMostPixels, "pixelLimit"));
    const size_t threads = to_count(env, a.values[5], kMostThreads, "threads");
    const View<int32_t> cancel = to_cancel(env, a.values[6]);
    Requests requests(numbers, paths.size(), out, outcomes);
    auto task = std::make_unique<FilesTask>(std::move(paths), std::move(requests), out, outcomes, limit, threads, cancel);
    return a.environment->submit(std::move(task), {a.values[2], a.values[3], a.values[6]});
  });
}

// readPixels(pixels, places: Float64Array, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, threads, cancel);
// pixels: a file's descriptor, which stays open until the promise is resolved, or a Uint8Array.
napi_value read_pixels(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    bool in_memory = false;
    check(napi_is_typedarray(env, a.values[0], &in_memory), "pixels: cannot be read");
    Pixels pixels{-1, nullptr, 0};
    if (in_memory) {
      const View<uint8_t> bytes(env, a.values[0], napi_uint8_array, "pixels");
      pixels = {-1, bytes.data, bytes.length};
    } else if (napi_get_value_int32(env, a.values[0], &pixels.descriptor) != napi_ok || pixels.descriptor < 0) {
      throw std::invalid_argument("pixels: expected a file's descriptor or a Uint8Array");
    }
    const View<double> places(env, a.values[1], napi_float64_array, "places");
    const View<int32_t> numbers(env, a.values[2], napi_int32_array, "requests");
    const View<uint8_t> out(env, a.values[3], napi_uint8_array, "out");
    const View<uint8_t> outcomes(env, a.values[4], napi_uint8_array, "outcomes");
    const size_t threads = to_count(env, a.values[5], kMostThreads, "threads");
    const View<int32_t> cancel = to_cancel(env, a.values[6]);
    Requests requests(numbers, outcomes.length, out, outcomes);
    auto task = std::make_unique<PixelsTask>(pixels, places, std::move(requests), out, outcomes, threads, cancel);
    if (in_memory) return a.environment->submit(std::move(task), {a.values[0], a.values[3], a.values[4], a.values[6]});
    return a.environment->submit(std::move(task), {a.values[3], a.values[4], a.values[6]});
  });
}

// warpImages(pixels: Uint8Array, side, matrices: Float32Array, fill, outSide, out: Uint8Array, threads, cancel); see warp.h
napi_value warp_images(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<8> a(env, info);
    const View<uint8_t> pixels(env, a.values[0], napi_uint8_array, "pixels");
    const int side = static_cast<int>(to_count(env, a.values[1], 65535, "side"));
    const View<float> matrices(env, a.values[2], napi_float32_array, "matrices");
    int32_t fill = 0;
    if (napi_get_value_int32(env, a.values[3], &fill) != napi_ok || fill < kFillBorder || fill > 255) {
      throw std::invalid_argument("fill: expected a number from -1 to 255");
    }
    const int out_side = static_cast<int>(to_count(env, a.values[4], 65535, "outSide"));
    const View<uint8_t> out(env, a.values[5], napi_uint8_array, "out");
    const size_t threads = to_count(env, a.values[6], kMostThreads, "threads");
    const View<int32_t> cancel = to_cancel(env, a.values[7]);
    auto task = std::make_unique<WarpTask>(pixels, side, matrices, fill, out_side, out, threads, cancel);
    return a.environment->submit(std::move(task), {a.values[0], a.values[2], a.values[5], a.values[7]});
  });
}

// checksum(bytes: Uint8Array): a number of 32 bits
napi_value checksum_of(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<1> a(env, info);
    const View<uint8_t> bytes(env, a.values[0], napi_uint8_array, "bytes");
    napi_value result;
    check(napi_create_uint32(env, checksum(bytes.data, bytes.length), &result), "no number");
    return result;
  });
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function), "no function");
  check(napi_set_named_property(env, exports, name, function), "no exports");
}

}  // namespace
}  // namespace conquer

NAPI_MODULE_INIT() {
  using namespace conquer;
  return guarded(env, [&] {
    auto environment = std::make_unique<Environment>(env);
    check(napi_set_instance_data(
              env, environment.get(), [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); },
              nullptr),
          "no instance data");
    environment.release();
    define(env, exports, "imageSizes", image_sizes);
    define(env, exports, "decodeFiles", decode_files);
    define(env, exports, "readPixels", read_pixels);
    define(env, exports, "warpImages", warp_images);
    define(env, exports, "checksum", checksum_of);
    return exports;
  });
}
