#include "image-file.h"

#include <algorithm>
#include <cerrno>

namespace conquer {

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

size_t read_jpeg(const File& file, size_t offset, size_t length, size_t most, std::vector<uint8_t>& bytes) {
  const size_t start = std::min({length, most, kHeaderBytes});
  if (start < 4 || length > kMostFileBytes) return 0;
  if (bytes.size() < start) bytes.resize(start);
  if (!read_fully(file.descriptor(), bytes.data(), start, offset) || bytes[0] != 0xFF || bytes[1] != 0xD8) return 0;
  const size_t whole = std::min(length, most);
  if (bytes.size() < whole) bytes.resize(whole);
  return read_fully(file.descriptor(), bytes.data() + start, whole - start, offset + start) ? whole : 0;
}

}  // namespace conquer
