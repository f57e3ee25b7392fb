// build: -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
//
// Nearly all of a walk's time is waiting for rows from memory, one after the other; so all that a step will compare are asked for
// before the first is.
#include "row-graph-walk.h"
#include "for-each-processor.h"

#include <cstring>

#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

namespace conquer {
namespace {

// As usearch writes a node: its key and level, then for each layer from the lowest a count and room for as many links as there may be.
constexpr int64_t kNodeHead = 10;
constexpr int64_t kLine = 64;
// Rows that are kept in view in the layers above the lowest: of one alone, every twentieth walk ends where none of the nearest is.
constexpr int64_t kAbove = 6;

INLINE void fetch(const uint8_t* from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += kLine) __builtin_prefetch(from + at);
}

struct Links {
  const uint8_t* first;
  int64_t count;
};

INLINE uint32_t link(const Links& links, int64_t i) {
  uint32_t row;
  std::memcpy(&row, links.first + 4 * i, sizeof row);
  return row;
}

// A count below 0 where the row has no such layer, or more links than there is room for: of a damaged file.
INLINE Links links_of(const RowGraph& graph, int64_t row, int64_t layer) {
  // All rows are in the lowest.
  int16_t level = 0;
  if (layer > 0) std::memcpy(&level, graph.levels + row, sizeof level);
  const int64_t lowest = 4 * (graph.lowest_links + 1), others = 4 * (graph.links + 1);
  const uint8_t* const node = node_of(graph, row, kNodeHead + lowest + layer * others);
  if (layer > level || node == nullptr) return {nullptr, -1};
  const uint8_t* const at = node + kNodeHead + (layer > 0 ? lowest + (layer - 1) * others : 0);
  uint32_t count;
  std::memcpy(&count, at, sizeof count);
  const int64_t most = layer > 0 ? graph.links : graph.lowest_links;
  return {at + 4, count <= most ? int64_t{count} : -1};
}

// Puts a row where it belongs among `count` that are near. Returns where; `width` where it is not among them.
INLINE int64_t insert(NearRow* near, int64_t& count, int64_t width, float product, uint32_t row) {
  if (count == width && !(product > near[count - 1].product)) return width;
  int64_t at = count < width ? count++ : count - 1;
  for (; at > 0 && near[at - 1].product < product; --at) near[at] = near[at - 1];
  near[at] = {product, row, true};
  return at;
}

// Through one layer, always on from the nearest whose links have not been looked at, until there is none of them among the `width` nearest.
// memory.near holds `count` rows to begin at, nearest first, and then what was met.
template <typename Product>
INLINE bool walk_layer(const RowGraph& graph, int64_t layer, int64_t width, const WalkMemory& memory, int64_t& count, const Product& product) {
  const auto vector = [&](int64_t row) INLINE_LAMBDA { return graph.vectors + row * graph.row_bytes; };
  NearRow* const near = memory.near;
  int64_t touched = 0;
  const auto mark = [&](uint32_t row) INLINE_LAMBDA {
    uint64_t& word = memory.seen[row >> 6];
    const uint64_t bit = uint64_t{1} << (row & 63);
    if (word & bit) return false;
    word |= bit;
    memory.touched[touched++] = row;
    return true;
  };
  for (int64_t i = 0; i < count; ++i) {
    near[i].open = true;
    mark(near[i].row);
  }
  bool sound = true;
  for (int64_t next = 0; sound && next < count;) {
    near[next].open = false;
    const Links links = links_of(graph, near[next].row, layer);
    sound = links.count >= 0;
    int64_t fresh = 0;
    for (int64_t i = 0; i < links.count; ++i) {
      const uint32_t row = link(links, i);
      if (row >= graph.rows) {
        sound = false;
        break;
      }
      if (!mark(row)) continue;
      memory.fresh[fresh++] = row;
      fetch(vector(row), graph.row_bytes);
    }
    int64_t first = count;
    for (int64_t i = 0; i < fresh; ++i) {
      const int64_t place = insert(near, count, width, product(vector(memory.fresh[i])), memory.fresh[i]);
      if (place < first) first = place;
      if (place < width) __builtin_prefetch(graph.starts + memory.fresh[i]);
    }
    if (first < next) next = first;
    while (next < count && !near[next].open) ++next;
    // Mostly one of these two is next.
    for (int64_t i = next, more = 2; i < count && more > 0; ++i) {
      if (!near[i].open) continue;
      --more;
      fetch(graph.nodes + graph.starts[near[i].row], kNodeHead + 4 * (graph.lowest_links + 1));
    }
  }
  for (int64_t i = 0; i < touched; ++i) memory.seen[memory.touched[i] >> 6] = 0;
  return sound;
}

template <typename Product>
INLINE int64_t walk_by(const RowGraph& graph, int64_t width, const WalkMemory& memory, const Product& product) {
  const auto entry = static_cast<uint32_t>(graph.entry);
  memory.near[0] = {product(graph.vectors + graph.entry * graph.row_bytes), entry, true};
  int64_t count = 1;
  for (int64_t layer = graph.top; layer >= 0; --layer) {
    const int64_t most = layer > 0 && width > kAbove ? kAbove : width;
    if (!walk_layer(graph, layer, most, memory, count, product)) return -1;
  }
  return count;
}

// The float of a float16, of which rows of length 1 have neither infinity nor NaN.
INLINE float of_half(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half & 0x7fff) << 13 | static_cast<uint32_t>(half & 0x8000) << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number * 0x1p112f;
}

}  // namespace

FOR_EACH_PROCESSOR
int64_t walk(const RowGraph& graph, const int16_t* query, int64_t width, const WalkMemory& memory) {
  return walk_by(graph, width, memory, [&](const uint8_t* row) INLINE_LAMBDA {
    const int8_t* const numbers = reinterpret_cast<const int8_t*>(row);
    int32_t sum = 0;
    for (int64_t i = 0; i < graph.dimensions; ++i) {
      const int16_t number = numbers[i];
      sum += query[i] * number;
    }
    return static_cast<float>(sum);
  });
}

FOR_EACH_PROCESSOR
int64_t walk_halves(const RowGraph& graph, const float* query, int64_t width, const WalkMemory& memory) {
  return walk_by(graph, width, memory, [&](const uint8_t* row) INLINE_LAMBDA {
    float sum = 0;
    for (int64_t i = 0; i < graph.dimensions; ++i) {
      uint16_t half;
      std::memcpy(&half, row + 2 * i, sizeof half);
      sum += query[i] * of_half(half);
    }
    return sum;
  });
}

}  // namespace conquer
