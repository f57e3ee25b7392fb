// Searches of a graph over rows that usearch has built, in its file as it is mapped into memory.
#include "environment.h"
#include "parallel.h"
#include "row-graph-walk.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace conquer {
namespace {

// usearch's numbers of types.
enum Scalar : uint8_t { kHalf = 12, kKey = 14, kSlot = 15, kByte = 23 };
constexpr int64_t kMostLinks = 1 << 16;
constexpr int64_t kMostLevels = 64;

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error("a graph's file " + why); }

// Reads one part after the other, none beyond the end.
struct Reader {
  const uint8_t* at;
  int64_t left;

  const uint8_t* take(int64_t bytes) {
    if (bytes < 0 || bytes > left) refuse("is cut off");
    const uint8_t* const from = at;
    at += bytes;
    left -= bytes;
    return from;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  int64_t count(const char* what, int64_t most) {
    const uint64_t value = number<uint64_t>();
    if (value > static_cast<uint64_t>(most)) refuse(std::string("has ") + std::to_string(value) + " " + what);
    return static_cast<int64_t>(value);
  }
};

struct File {
  RowGraph graph;
  uint8_t scalar;
};

// usearch 2's layout: rows and bytes of a row; the rows; a head of 64 bytes; sizes of the graph; each node's level; the nodes.
File parsed(const at::Tensor& bytes) {
  if (bytes.scalar_type() != at::kByte || bytes.dim() != 1 || !bytes.device().is_cpu() || !bytes.is_contiguous()) {
    throw std::runtime_error("a graph's file must be (B,) uint8, contiguous and on the CPU");
  }
  Reader reader{bytes.data_ptr<uint8_t>(), bytes.size(0)};
  File file{};
  RowGraph& graph = file.graph;
  graph.rows = reader.number<uint32_t>();
  graph.row_bytes = reader.number<uint32_t>();
  // The product of two numbers of 32 bits may leave 64, signed.
  if (graph.row_bytes > 0 && graph.rows > reader.left / graph.row_bytes) refuse("is cut off");
  graph.vectors = reader.take(graph.rows * graph.row_bytes);
  Reader head{reader.take(64), 64};
  if (std::memcmp(head.take(7), "usearch", 7) != 0) refuse("is not of usearch");
  const int version = head.number<uint16_t>();
  if (version != 2) refuse("is of version " + std::to_string(version) + " of usearch, expected 2");
  head.take(5);  // the rest of the version, and the metric: rows have length 1, so that all that are used order alike
  file.scalar = head.number<uint8_t>();
  if (head.number<uint8_t>() != kKey || head.number<uint8_t>() != kSlot) refuse("has keys of another size");
  head.take(8);
  if (head.number<uint64_t>() != 0) refuse("has rows that were removed");
  graph.dimensions = head.count("dimensions", graph.row_bytes);
  const int64_t width = file.scalar == kByte ? 1 : file.scalar == kHalf ? 2 : 0;
  if (width == 0 || graph.row_bytes != width * graph.dimensions) refuse("holds rows of another type");
  if (graph.rows == 0 || reader.count("nodes", graph.rows) != graph.rows) refuse("has no rows, or not as many nodes");
  graph.links = reader.count("links", kMostLinks);
  graph.lowest_links = reader.count("links", kMostLinks);
  graph.top = reader.count("layers", kMostLevels);
  graph.entry = reader.count("rows to begin at", graph.rows - 1);
  graph.levels = reinterpret_cast<const int16_t*>(reader.take(2 * graph.rows));
  graph.nodes = reader.at;
  graph.nodes_bytes = reader.left;
  return file;
}

// rowGraphNodes(file (B,) uint8) → (R,) int64, where each row's node begins among the nodes
napi_value row_graph_nodes(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<1> arguments(env, info);
    const File file = parsed(to_tensor(env, arguments[0]));
    const RowGraph& graph = file.graph;
    at::Tensor starts = at::empty({graph.rows}, at::kLong);
    int64_t* const to = starts.data_ptr<int64_t>();
    int64_t at = 0;
    for (int64_t row = 0; row < graph.rows; ++row) {
      int16_t level;
      std::memcpy(&level, graph.levels + row, sizeof level);
      if (level < 0 || level > graph.top) refuse("has a row in a layer that there is none of");
      to[row] = at;
      at += 10 + 4 * (graph.lowest_links + 1) + level * 4 * (graph.links + 1);
    }
    if (at != graph.nodes_bytes) refuse("is not as long as its nodes");
    return from_tensor(env, starts);
  });
}

// What a query has in integers of 16 bits: as it has length 1 and rows of int8 have 127, no sum of products leaves 32 bits.
void to_integers(const float* query, int64_t count, int16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int16_t>(std::lrint(std::min(1.0f, std::max(-1.0f, query[i])) * 32767));
}

// The memory of walks through a graph, for the thread that walks.
struct Memory {
  std::vector<uint64_t> seen, keys;  // a bit each, none set between walks
  std::vector<uint32_t> touched, fresh;
  std::vector<NearRow> near;
  std::vector<int16_t> query;

  WalkMemory for_walks(const RowGraph& graph, int64_t width, int64_t most_keys) {
    keys.resize(static_cast<size_t>(most_keys + 63) / 64);
    seen.resize(static_cast<size_t>(graph.rows + 63) / 64);
    touched.resize(static_cast<size_t>(graph.rows));
    fresh.resize(static_cast<size_t>(std::max(graph.links, graph.lowest_links)));
    near.resize(static_cast<size_t>(width));
    query.resize(static_cast<size_t>(graph.dimensions));
    return {seen.data(), touched.data(), fresh.data(), near.data()};
  }

  [[noreturn]] void refuse_keys(const char* why) {
    keys.clear();
    refuse(why);
  }
};

// rowGraphNearest(file (B,) uint8, nodes (R,) int64, queries (Q, D) float32, width, keys) → (Q, width) int32, the keys, each below `keys`, of the
// rows whose products with a query are largest of those that a walk met, largest first; −1 behind the last.
napi_value row_graph_nearest(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<5> arguments(env, info);
    File file = parsed(to_tensor(env, arguments[0]));
    RowGraph& graph = file.graph;
    const at::Tensor& nodes = to_tensor(env, arguments[1]);
    const at::Tensor& queries = to_tensor(env, arguments[2]);
    const int64_t width = to_int64(env, arguments[3], "width");
    if (nodes.scalar_type() != at::kLong || nodes.dim() != 1 || nodes.size(0) != graph.rows || !nodes.is_contiguous()) {
      throw std::runtime_error("nodes must be (R,) int64, of this file");
    }
    if (queries.scalar_type() != at::kFloat || queries.dim() != 2 || queries.size(1) != graph.dimensions || !queries.device().is_cpu() || !queries.is_contiguous()) {
      throw std::runtime_error("queries must be (Q, " + std::to_string(graph.dimensions) + ") float32, contiguous and on the CPU");
    }
    const int64_t keys = to_int64(env, arguments[4], "keys");
    if (keys < graph.rows || keys > INT32_MAX) throw std::runtime_error("keys must be as many as rows, or more, below 2^31");
    if (width < 1 || width > graph.rows) throw std::runtime_error("width must be 1 to the number of rows");
    graph.starts = nodes.data_ptr<int64_t>();
    const at::Tensor found = at::full({queries.size(0), width}, -1, at::kInt);
    in_parallel(queries.size(0), 1, [&](int64_t begin, int64_t end) {
      static thread_local Memory memory;
      const WalkMemory walks = memory.for_walks(graph, width, keys);
      for (int64_t query = begin; query < end; ++query) {
        const float* const from = queries.data_ptr<float>() + query * graph.dimensions;
        to_integers(from, graph.dimensions, memory.query.data());
        const int64_t met = file.scalar == kByte ? walk(graph, memory.query.data(), width, walks) : walk_halves(graph, from, width, walks);
        if (met < 0) refuse("has a link that leads nowhere");
        int32_t* const to = found.data_ptr<int32_t>() + query * width;
        for (int64_t i = 0; i < met; ++i) {
          int64_t key = -1;
          if (const uint8_t* const node = node_of(graph, walks.near[i].row, sizeof key)) std::memcpy(&key, node, sizeof key);
          if (key < 0 || key >= keys) memory.refuse_keys("has a key that is no row");
          to[i] = static_cast<int32_t>(key);
          uint64_t& word = memory.keys[static_cast<size_t>(key) >> 6];
          const uint64_t bit = uint64_t{1} << (key & 63);
          if (word & bit) memory.refuse_keys("has a key more than once");
          word |= bit;
        }
        for (int64_t i = 0; i < met; ++i) memory.keys[static_cast<size_t>(to[i]) >> 6] = 0;
      }
    });
    return from_tensor(env, found);
  });
}

}  // namespace

void register_row_graph(napi_env env, napi_value exports) {
  define(env, exports, "rowGraphNodes", row_graph_nodes);
  define(env, exports, "rowGraphNearest", row_graph_nearest);
}

}  // namespace conquer
