// Where images are, and the JPEGs that they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "node-api.h"

namespace conquer {

// Where an image is: in a file or a part of one, or where there is no path in memory. Of bytes that are no JPEG nothing is kept.
struct Source {
  std::string path;
  size_t offset = 0;
  bool is_part = false;  // of `length` bytes
  std::unique_ptr<uint8_t[]> bytes;
  size_t length = 0;
};

// An array of paths, of [path, offset, length] for a part of a file, and of Uint8Arrays of what would be in the files, of which
// up to `most` bytes are copied.
std::vector<Source> to_sources(napi_env env, napi_value value, size_t most);

// What a JPEG holds, up to `most` bytes of it: of length 0 for everything else.
struct Jpeg {
  const uint8_t* bytes;
  size_t length;
  bool whole;
};
Jpeg jpeg_of(const Source& source, size_t most, std::vector<uint8_t>& space);

}  // namespace conquer
