// A walk through a graph over rows to those that are nearest to a query. No libtorch here: see the build's flags for this kernel.
#pragma once

#include <cstdint>

namespace conquer {

// A graph as it lies in a file: layers of links between rows (HNSW, Malkov and Yashunin 2016), all rows in the lowest, and the rows
// themselves with fewer bits.
struct RowGraph {
  const uint8_t* vectors;  // rows, one after the other
  int64_t rows, row_bytes, dimensions;
  const uint8_t* nodes;
  int64_t nodes_bytes;
  const int64_t* starts;  // where in `nodes` the node of each row begins
  const int16_t* levels;  // the highest layer that each is in; may not be aligned
  int64_t links, lowest_links;  // at most, of a row in a layer and in the lowest
  int64_t top, entry;
};

struct NearRow {
  float product;
  uint32_t row;
  bool open;  // whether its links have not been looked at
};

// What a walk needs, kept from one to the next. Plain memory: the walk is compiled for several processors, and calls of the standard
// library's would not be inlined there.
struct WalkMemory {
  uint64_t* seen;  // a bit for each row, none set between walks
  uint32_t* touched;  // room for each row that is seen
  uint32_t* fresh;  // room for a row's links in a layer
  NearRow* near;  // room for `width`
};

// Into memory.near: the `width` rows whose products with the query are largest, of those that the walk met; equal ones as it met them. Returns
// how many; −1 where a link leads nowhere, which a whole graph has none of.
int64_t walk(const RowGraph& graph, const int16_t* query, int64_t width, const WalkMemory& memory);        // rows of int8
int64_t walk_halves(const RowGraph& graph, const float* query, int64_t width, const WalkMemory& memory);  // rows of float16

// The node of a row, of which `bytes` are to be read; null where it is not that long.
inline const uint8_t* node_of(const RowGraph& graph, int64_t row, int64_t bytes) {
  const int64_t start = graph.starts[row];
  return start < 0 || start > graph.nodes_bytes - bytes ? nullptr : graph.nodes + start;
}

}  // namespace conquer
