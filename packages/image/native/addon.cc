// The addon's functions. Each of the asynchronous ones takes arrays with an entry for each image, and gives a promise
// that is resolved when all have been worked on, or the job was cancelled and nothing is under way any more. `images` are
// paths, or Uint8Arrays of what would be in the files.
//
// JavaScript may transfer, resize or shrink the memory of an array at any time, whether or not somebody holds the array. So
// no thread ever sees it: what is read is copied when a job begins, and what was written is copied when it has ended.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
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

// A typed array, to be used before JavaScript runs again.
template <typename Element>
struct View {
  Element* data = nullptr;
  size_t length = 0;

  View() = default;
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

// A whole number from `least` to `most`. Node's own getters of integers take NaN for 0 and 1.5 for 1.
double to_integer(napi_env env, napi_value value, double least, double most, const char* name) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= least && number <= most) ||
      std::trunc(number) != number) {
    throw std::invalid_argument(std::string(name) + ": expected a whole number from " + std::to_string(static_cast<int64_t>(least)) +
                                " to " + std::to_string(static_cast<int64_t>(most)));
  }
  return number;
}

size_t to_count(napi_env env, napi_value value, double most, const char* name) {
  return static_cast<size_t>(to_integer(env, value, 1, most, name));
}

// Where an image is: in a file, or where there is no path in memory. Of bytes that are no JPEG nothing is kept.
struct Source {
  std::string path;
  std::unique_ptr<uint8_t[]> bytes;
  size_t length = 0;
};

// A path, or a Uint8Array of what would be in the file, of which up to `most` bytes are copied.
bool to_source(napi_env env, napi_value element, size_t most, Source& source) {
  bool in_memory = false;
  if (napi_is_typedarray(env, element, &in_memory) != napi_ok) return false;
  if (in_memory) {
    const View<uint8_t> bytes(env, element, napi_uint8_array, "images");
    if (bytes.length < 4 || bytes.length > kMostFileBytes || bytes.data[0] != 0xFF || bytes.data[1] != 0xD8) return true;
    source.length = std::min(bytes.length, most);
    source.bytes.reset(new uint8_t[source.length]);
    std::memcpy(source.bytes.get(), bytes.data, source.length);
    return true;
  }
  size_t length = 0;
  std::string& path = source.path;
  if (napi_get_value_string_utf8(env, element, nullptr, 0, &length) != napi_ok) return false;
  path.resize(length);
  if (napi_get_value_string_utf8(env, element, &path[0], length + 1, &length) != napi_ok) return false;
  // The system would open the file of the shorter name.
  if (path.find('\0') != std::string::npos) path.clear();
  return true;
}

// What is found of JavaScript's in it is let go at its end, an exception's too.
class HandleScope {
 public:
  explicit HandleScope(napi_env env) : env_(env) { check(napi_open_handle_scope(env, &scope_), "no handle scope"); }
  ~HandleScope() {
    if (napi_close_handle_scope(env_, scope_) != napi_ok) return;  // the environment is being taken down
  }
  HandleScope(const HandleScope&) = delete;

 private:
  const napi_env env_;
  napi_handle_scope scope_;
};

std::vector<Source> to_sources(napi_env env, napi_value value, size_t most) {
  uint32_t count = 0;
  check(napi_get_array_length(env, value, &count), "images: expected an array");
  std::vector<Source> sources;  // grows with what is there: an array of four billion holes is soon made
  for (uint32_t i = 0; i < count; i++) {
    const HandleScope scope(env);
    napi_value element;
    Source source;
    if (napi_get_element(env, value, i, &element) != napi_ok || !to_source(env, element, most, source)) {
      throw std::invalid_argument("images: expected strings or Uint8Arrays");
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

// What a JPEG holds, up to `most` bytes of it: of length 0 for everything else.
struct Jpeg {
  const uint8_t* bytes;
  size_t length;
  bool whole;
};
Jpeg jpeg_of(const Source& source, size_t most, std::vector<uint8_t>& space) {
  if (source.path.empty()) return {source.bytes.get(), source.length, true};
  const File file(source.path.c_str());
  const size_t length = file.length();
  const size_t read = read_jpeg(file, length, most, space);
  return {space.data(), read, read == length};
}

// Memory for one job after the other: new memory costs about as much as resizing an image into it.
class Buffers {
 public:
  struct Buffer {
    std::unique_ptr<uint8_t[]> data;
    size_t size = 0;
  };

  Buffer take(size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto fits = [&](const Buffer& buffer) { return buffer.size >= size && buffer.size / 4 <= size; };
    const auto found = std::find_if(kept_.begin(), kept_.end(), fits);
    // Rows are read four bytes at a time: of the last pixel that is one too many.
    if (found == kept_.end()) return {std::unique_ptr<uint8_t[]>(new uint8_t[size + 1]), size};
    Buffer buffer = std::move(*found);
    kept_.erase(found);
    return buffer;
  }
  void give_back(Buffer buffer) noexcept {
    if (!buffer.data || buffer.size < kLeast || buffer.size > kLargest) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() == kMost) kept_.erase(kept_.begin());
    kept_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kMost = 4;
  static constexpr size_t kLeast = 4096;
  static constexpr size_t kLargest = size_t{1} << 26;
  std::mutex mutex_;
  std::vector<Buffer> kept_ = [] {
    std::vector<Buffer> some;
    some.reserve(kMost);
    return some;
  }();
};

// The copy of an array's bytes that a job works on.
class Copy {
 public:
  Copy(Buffers& buffers, const void* from, size_t size) : buffers_(buffers), buffer_(buffers.take(size)), size_(size) {
    if (from != nullptr && size > 0) std::memcpy(buffer_.data.get(), from, size);
  }
  ~Copy() { buffers_.give_back(std::move(buffer_)); }
  Copy(Copy&& other) noexcept : buffers_(other.buffers_), buffer_(std::move(other.buffer_)), size_(other.size_) {}
  Copy(const Copy&) = delete;

  template <typename Element = uint8_t>
  Element* as() const {
    return reinterpret_cast<Element*>(buffer_.data.get());
  }
  size_t size() const { return size_; }

 private:
  Buffers& buffers_;
  Buffers::Buffer buffer_;
  const size_t size_;
};

// A job with its promise, and the arrays that it fills.
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
  napi_value begin(napi_env env, std::initializer_list<napi_value> arrays) {
    references_.reserve(arrays.size());
    for (const napi_value array : arrays) {
      napi_ref reference;
      check(napi_create_reference(env, array, 1, &reference), "cannot hold an array");
      references_.push_back(reference);
    }
    napi_value result;
    check(napi_create_promise(env, &deferred_, &result), "cannot make a promise");
    return result;
  }

  // Fills the arrays and settles the promise.
  void end(napi_env env) {
    napi_value value;
    bool filled = false;
    try {
      fill(env);
      filled = true;
    } catch (const std::exception& error) {
      napi_value message;
      check(napi_create_string_utf8(env, error.what(), NAPI_AUTO_LENGTH, &message), "cannot make a message");
      check(napi_create_error(env, nullptr, message, &value), "cannot make an error");
    }
    release(env);
    if (filled) {
      check(napi_get_undefined(env, &value), "cannot make undefined");
      check(napi_resolve_deferred(env, deferred_, value), "cannot resolve a promise");
    } else {
      check(napi_reject_deferred(env, deferred_, value), "cannot reject a promise");
    }
    deferred_ = nullptr;
  }

  // For a job that never began.
  void give_up(napi_env env) noexcept {
    release(env);
    // Nobody has the promise; as an open one it would stay for ever.
    napi_value undefined;
    if (deferred_ != nullptr && napi_get_undefined(env, &undefined) == napi_ok) {
      if (napi_resolve_deferred(env, deferred_, undefined) == napi_ok) deferred_ = nullptr;
    }
  }

 protected:
  virtual void process(size_t item, Workspace& space) = 0;
  virtual void fill(napi_env env) = 0;

  // The array's memory as it is now.
  template <typename Element>
  Element* array(napi_env env, size_t index, size_t length, napi_typedarray_type type) const {
    napi_value value;
    check(napi_get_reference_value(env, references_[index], &value), "cannot find an array");
    const View<Element> view(env, value, type, "out");
    if (view.length != length) {
      throw std::runtime_error("an array was transferred, resized or shrunk while images were read into it: it must stay as it is "
                               "until the promise is settled");
    }
    return view.data;
  }

 private:
  void release(napi_env env) noexcept {
    for (const napi_ref reference : references_) {
      // It fails only where the environment is being taken down, and the references with it.
      if (napi_delete_reference(env, reference) != napi_ok) break;
    }
    references_.clear();
  }

  std::atomic<bool> cancelled_{false};
  std::vector<napi_ref> references_;
  napi_deferred deferred_ = nullptr;
};

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
    std::copy(sizes_.begin(), sizes_.end(), array<int32_t>(env, 0, sizes_.size(), napi_int32_array));
  }

 private:
  const std::vector<Source> sources_;
  std::vector<int32_t> sizes_;
  const double pixel_limit_;
};

// The requests of a job, and where each result goes: one after the other; the last place is the end.
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
    places.push_back(place);
  }
};

// A job that makes pixels of requests.
class RequestsTask : public Task {
 public:
  RequestsTask(Requests requests, Buffers& buffers, size_t threads)
      : Task(requests.requests.size(), threads),
        requests_(std::move(requests)),
        out_(buffers, nullptr, requests_.places.back()),
        outcomes_(requests_.requests.size(), kOpen) {}

 protected:
  const Request& request(size_t item) const { return requests_.requests[item]; }
  uint8_t* out(size_t item) { return out_.as() + requests_.places[item]; }
  uint8_t& outcome(size_t item) { return outcomes_[item]; }

  // The pixels of those that are done; what is in the way of the others stays.
  void fill(napi_env env) override {
    std::copy(outcomes_.begin(), outcomes_.end(), array<uint8_t>(env, 1, outcomes_.size(), napi_uint8_array));
    uint8_t* const pixels = array<uint8_t>(env, 0, out_.size(), napi_uint8_array);
    for (size_t first = 0; first < outcomes_.size();) {
      size_t after = first;
      while (after < outcomes_.size() && outcomes_[after] == kDone) after++;
      const size_t start = requests_.places[first];
      if (after > first) std::memcpy(pixels + start, out_.as() + start, requests_.places[after] - start);
      first = after + 1;
    }
  }

 private:
  const Requests requests_;
  const Copy out_;
  std::vector<uint8_t> outcomes_;
};

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
  Copy bytes;
};

class PixelsTask : public RequestsTask {
 public:
  PixelsTask(Pixels pixels, View<double> places, Requests requests, Buffers& buffers, size_t threads)
      : RequestsTask(std::move(requests), buffers, threads), pixels_(std::move(pixels)) {
    const size_t count = places.length / kPlaceNumbers;
    for (size_t i = 0; i < count; i++) {
      const double* n = places.data + kPlaceNumbers * i;
      if (!(n[0] >= 0 && n[0] < 0x1p53 && n[1] >= 1 && n[1] <= 65535 && n[2] >= 1 && n[2] <= 65535 && n[3] >= 0 &&
            n[3] < 0x1p32)) {
        throw std::invalid_argument("places: out of range");
      }
      places_.push_back({static_cast<size_t>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2]),
                         static_cast<uint32_t>(n[3]), n[4] != 0});
      const Place& place = places_.back();
      const size_t end = place.offset + static_cast<size_t>(place.width) * static_cast<size_t>(place.height) * 3;
      if (pixels_.descriptor < 0 && end > pixels_.bytes.size()) throw std::invalid_argument("places: outside of the pixels");
    }
  }

 protected:
  void process(size_t item, Workspace& space) override {
    outcome(item) = kDamaged;
    const Request& request = this->request(item);
    const Place& place = places_[item];
    uint8_t* out = this->out(item);
    Box box;
    if (!wanted_box(request, place.width, place.height, box)) {
      outcome(item) = kOther;
      return;
    }
    const size_t row_bytes = static_cast<size_t>(place.width) * 3;
    const int first = std::max(0, static_cast<int>(std::floor(box.top)));
    const int last = std::min(place.height, static_cast<int>(std::ceil(box.top + box.height)));
    const int first_column = std::max(0, static_cast<int>(std::floor(box.left)));
    const int last_column = std::min(place.width, static_cast<int>(std::ceil(box.left + box.width)));
    const size_t start = place.verify ? 0 : first * row_bytes;
    const size_t length = (place.verify ? place.height : last - first) * row_bytes;
    const uint8_t* bytes = pixels_.bytes.as() + place.offset + start;
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
      outcome(item) = kDone;
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
    outcome(item) = kDone;
  }

 private:
  const Pixels pixels_;
  std::vector<Place> places_;
};

class WarpTask : public Task {
 public:
  WarpTask(View<uint8_t> pixels, int side, View<float> matrices, int fill, int out_side, View<uint8_t> out, Buffers& buffers,
           size_t threads)
      : Task(matrices.length / kMatrixNumbers, threads),
        side_(side),
        matrices_(matrices.data, matrices.data + matrices.length),
        fill_(fill),
        out_side_(out_side),
        pixels_(buffers, pixels.data, checked(pixels, matrices, side, "pixels")),
        out_(buffers, nullptr, checked(out, matrices, out_side, "out")),
        done_(matrices.length / kMatrixNumbers, 0) {}

 protected:
  void process(size_t item, Workspace&) override {
    warp_rgb(pixels_.as() + item * bytes(side_), side_, matrices_.data() + item * kMatrixNumbers, fill_, out_side_,
             out_.as() + item * bytes(out_side_));
    done_[item] = 1;
  }

  void fill(napi_env env) override {
    uint8_t* const out = array<uint8_t>(env, 0, out_.size(), napi_uint8_array);
    // Of a cancelled job some images are not there.
    const size_t some = static_cast<size_t>(std::find(done_.begin(), done_.end(), 0) - done_.begin());
    if (some > 0) std::memcpy(out, out_.as(), some * bytes(out_side_));
  }

 private:
  static size_t bytes(int side) { return static_cast<size_t>(side) * static_cast<size_t>(side) * 3; }
  static size_t checked(const View<uint8_t>& images, const View<float>& matrices, int side, const char* name) {
    const size_t count = matrices.length / kMatrixNumbers;
    matrices.expect(count * kMatrixNumbers, "matrices");
    images.expect(count * bytes(side), name);
    return images.length;
  }

  const int side_;
  const std::vector<float> matrices_;
  const int fill_;
  const int out_side_;
  const Copy pixels_;
  const Copy out_;
  std::vector<uint8_t> done_;
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

  Buffers& buffers() { return buffers_; }

  napi_value submit(std::unique_ptr<Task> task, double job, std::initializer_list<napi_value> arrays) {
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

  // What is not under way any more is not cancelled.
  void cancel(double job) {
    for (const auto& [number, task] : under_way_) {
      if (number == job) task->cancel();
    }
  }

 private:
  void forget(const Task* task) {
    under_way_.erase(std::remove_if(under_way_.begin(), under_way_.end(), [&](const auto& entry) { return entry.second == task; }),
                     under_way_.end());
    if (under_way_.empty()) check(napi_unref_threadsafe_function(env_, settle_), "cannot end waiting");
  }

  // Called from a thread of the pool. It is refused only where the environment is being taken down.
  void finished(Task* task) {
    if (napi_call_threadsafe_function(settle_, task, napi_tsfn_nonblocking) != napi_ok) delete task;
  }

  static void settle(napi_env env, napi_value, void* context, void* data) {
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

  static void clean(void* data) { static_cast<Environment*>(data)->pool_.stop(); }

  const napi_env env_;
  Buffers buffers_;
  napi_threadsafe_function settle_ = nullptr;
  std::vector<std::pair<double, Task*>> under_way_;
  ThreadPool pool_;
};

template <typename Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const std::invalid_argument& error) {
    // This fails where an exception is pending, which is thrown then, or where JavaScript does not run any more.
    if (napi_throw_type_error(env, nullptr, error.what()) != napi_ok) return nullptr;
  } catch (const std::bad_alloc&) {
    if (napi_throw_range_error(env, nullptr, "Array buffer allocation failed") != napi_ok) return nullptr;  // as V8 says it
  } catch (const std::exception& error) {
    if (napi_throw_error(env, nullptr, error.what()) != napi_ok) return nullptr;
  }
  return nullptr;
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

constexpr double kMostThreads = 1024;
constexpr double kMostPixels = 0x1p32;

// The number by which a job is cancelled.
double to_job(napi_env env, napi_value value) { return to_integer(env, value, 0, 0x1p53, "job"); }

// imageSizes(images, sizes: Int32Array, pixelLimit, threads, job): width and height of each, left as they are for
// what is not a JPEG that this addon decodes.
napi_value image_sizes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<5> a(env, info);
    // Of bytes whose header is longer there is no size here.
    auto sources = to_sources(env, a.values[0], kHeaderBytes);
    const View<int32_t> sizes(env, a.values[1], napi_int32_array, "sizes");
    const double limit = static_cast<double>(to_count(env, a.values[2], kMostPixels, "pixelLimit"));
    const size_t threads = to_count(env, a.values[3], kMostThreads, "threads");
    const double job = to_job(env, a.values[4]);
    auto task = std::make_unique<SizesTask>(std::move(sources), sizes, limit, threads);
    return a.environment->submit(std::move(task), job, {a.values[1]});
  });
}

// decodeFiles(images, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, pixelLimit, threads, job)
napi_value decode_files(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    auto sources = to_sources(env, a.values[0], kMostFileBytes);
    const View<int32_t> numbers(env, a.values[1], napi_int32_array, "requests");
    const View<uint8_t> out(env, a.values[2], napi_uint8_array, "out");
    const View<uint8_t> outcomes(env, a.values[3], napi_uint8_array, "outcomes");
    const double limit = static_cast<double>(to_count(env, a.values[4], kMostPixels, "pixelLimit"));
    const size_t threads = to_count(env, a.values[5], kMostThreads, "threads");
    const double job = to_job(env, a.values[6]);
    Requests requests(numbers, sources.size(), out, outcomes);
    auto task = std::make_unique<FilesTask>(std::move(sources), std::move(requests), limit, a.environment->buffers(), threads);
    return a.environment->submit(std::move(task), job, {a.values[2], a.values[3]});
  });
}

// readPixels(pixels, places: Float64Array, requests: Int32Array, out: Uint8Array, outcomes: Uint8Array, threads, job);
// pixels: a file's descriptor, which stays open until the promise is resolved, or a Uint8Array.
napi_value read_pixels(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<7> a(env, info);
    bool in_memory = false;
    check(napi_is_typedarray(env, a.values[0], &in_memory), "pixels: cannot be read");
    const View<uint8_t> bytes = in_memory ? View<uint8_t>(env, a.values[0], napi_uint8_array, "pixels") : View<uint8_t>();
    const int descriptor = in_memory ? -1 : static_cast<int>(to_integer(env, a.values[0], 0, 0x1p31 - 1, "pixels: a file's descriptor"));
    const View<double> places(env, a.values[1], napi_float64_array, "places");
    const View<int32_t> numbers(env, a.values[2], napi_int32_array, "requests");
    const View<uint8_t> out(env, a.values[3], napi_uint8_array, "out");
    const View<uint8_t> outcomes(env, a.values[4], napi_uint8_array, "outcomes");
    const size_t threads = to_count(env, a.values[5], kMostThreads, "threads");
    const double job = to_job(env, a.values[6]);
    Requests requests(numbers, outcomes.length, out, outcomes);
    places.expect(kPlaceNumbers * requests.requests.size(), "places");
    Buffers& buffers = a.environment->buffers();
    Pixels pixels{descriptor, Copy(buffers, bytes.data, bytes.length)};
    auto task = std::make_unique<PixelsTask>(std::move(pixels), places, std::move(requests), buffers, threads);
    return a.environment->submit(std::move(task), job, {a.values[3], a.values[4]});
  });
}

// warpImages(pixels: Uint8Array, side, matrices: Float32Array, fill, outSide, out: Uint8Array, threads, job); see warp.h
napi_value warp_images(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<8> a(env, info);
    const View<uint8_t> pixels(env, a.values[0], napi_uint8_array, "pixels");
    const int side = static_cast<int>(to_count(env, a.values[1], 65535, "side"));
    const View<float> matrices(env, a.values[2], napi_float32_array, "matrices");
    const int fill = static_cast<int>(to_integer(env, a.values[3], kFillBorder, 255, "fill"));
    const int out_side = static_cast<int>(to_count(env, a.values[4], 65535, "outSide"));
    const View<uint8_t> out(env, a.values[5], napi_uint8_array, "out");
    const size_t threads = to_count(env, a.values[6], kMostThreads, "threads");
    const double job = to_job(env, a.values[7]);
    auto task = std::make_unique<WarpTask>(pixels, side, matrices, fill, out_side, out, a.environment->buffers(), threads);
    return a.environment->submit(std::move(task), job, {a.values[5]});
  });
}

// cancel(job): the images that have not been begun are left out.
napi_value cancel(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments<1> a(env, info);
    a.environment->cancel(to_job(env, a.values[0]));
    napi_value result;
    check(napi_get_undefined(env, &result), "no undefined");
    return result;
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
    define(env, exports, "cancel", cancel);
    define(env, exports, "checksum", checksum_of);
    return exports;
  });
}
