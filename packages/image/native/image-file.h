// Reading image files.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace conquer {

constexpr size_t kHeaderBytes = 1 << 16;
constexpr size_t kMostFileBytes = size_t{1} << 30;

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

// Whether all of the bytes were there.
bool read_fully(int descriptor, uint8_t* out, size_t length, size_t offset);

// The first bytes of a JPEG that lies at `offset` and has `length` bytes, up to all of it; 0 for anything else.
size_t read_jpeg(const File& file, size_t offset, size_t length, size_t most, std::vector<uint8_t>& bytes);

}  // namespace conquer
