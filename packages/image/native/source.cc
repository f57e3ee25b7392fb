#include "source.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "image-file.h"

namespace conquer {
namespace {

Source to_source(napi_env env, napi_value element, size_t most) {
  Source source;
  napi_valuetype type;
  bool in_memory = false;
  check(napi_typeof(env, element, &type), "images: cannot be read");
  check(napi_is_typedarray(env, element, &in_memory), "images: cannot be read");
  if (type != napi_string && !in_memory) throw std::invalid_argument("images: expected strings or Uint8Arrays");
  if (!in_memory) {
    source.path = to_string(env, element, "images");
    // The system would open the file of the shorter name.
    if (source.path.find('\0') != std::string::npos) source.path.clear();
    return source;
  }
  const View<uint8_t> bytes(env, element, "images");
  if (bytes.length < 4 || bytes.length > kMostFileBytes || bytes.data[0] != 0xFF || bytes.data[1] != 0xD8) return source;
  source.length = std::min(bytes.length, most);
  source.bytes.reset(new uint8_t[source.length]);
  std::memcpy(source.bytes.get(), bytes.data, source.length);
  return source;
}

}  // namespace

std::vector<Source> to_sources(napi_env env, napi_value value, size_t most) {
  std::vector<Source> sources;
  for_each_element(env, value, "images", [&](napi_value element) { sources.push_back(to_source(env, element, most)); });
  return sources;
}

Jpeg jpeg_of(const Source& source, size_t most, std::vector<uint8_t>& space) {
  if (source.path.empty()) return {source.bytes.get(), source.length, true};
  const File file(source.path.c_str());
  const size_t length = file.length();
  const size_t read = read_jpeg(file, length, most, space);
  return {space.data(), read, read == length};
}

}  // namespace conquer
