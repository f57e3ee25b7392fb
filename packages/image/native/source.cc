#include "source.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "image-file.h"

namespace conquer {
namespace {

std::string to_path(napi_env env, napi_value value) {
  std::string path = to_string(env, value, "images");
  // The system would open the file of the shorter name.
  if (path.find('\0') != std::string::npos) path.clear();
  return path;
}

Source to_part(napi_env env, napi_value element) {
  napi_value path, offset, length;
  check(napi_get_element(env, element, 0, &path), "images: cannot be read");
  check(napi_get_element(env, element, 1, &offset), "images: cannot be read");
  check(napi_get_element(env, element, 2, &length), "images: cannot be read");
  Source source;
  source.path = to_path(env, path);
  source.offset = static_cast<size_t>(to_integer(env, offset, 0, int64_t{1} << 52, "images, an offset,"));
  source.length = static_cast<size_t>(to_integer(env, length, 0, int64_t{1} << 40, "images, a length,"));
  source.is_part = true;
  return source;
}

Source to_source(napi_env env, napi_value element, size_t most) {
  Source source;
  napi_valuetype type;
  bool in_memory = false;
  bool is_part = false;
  check(napi_typeof(env, element, &type), "images: cannot be read");
  check(napi_is_typedarray(env, element, &in_memory), "images: cannot be read");
  check(napi_is_array(env, element, &is_part), "images: cannot be read");
  if (is_part) return to_part(env, element);
  if (type != napi_string && !in_memory)
    throw std::invalid_argument("images: expected strings, [path, offset, length] or Uint8Arrays");
  if (!in_memory) {
    source.path = to_path(env, element);
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
  const size_t all = file.length();
  // Of a part that the file does not hold nothing is read.
  const bool fits = !source.is_part || (source.offset <= all && source.length <= all - source.offset);
  const size_t length = source.is_part ? (fits ? source.length : 0) : all;
  const size_t read = read_jpeg(file, source.offset, length, most, space);
  return {space.data(), read, read == length};
}

}  // namespace conquer
