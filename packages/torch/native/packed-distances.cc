// build: -O2
// Candidates from blocks of squared distances that are taken by products of integers, and never there as a whole.
#include "environment.h"
#include "integer-products.h"
#include "neighbour-candidates.h"
#include "parallel.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace conquer {
namespace {

using integers::kColumns;
using integers::kRows;

// Rows that a thread takes at a time.
constexpr int64_t kStrip = 64;

int64_t rounded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

// One side of a block, with places beyond its rows up to a whole tile.
struct Side {
  Side(const at::Tensor& of_rows, const at::Tensor& packed, int64_t together, int64_t pairs)
      : count(of_rows.size(0)), squares(static_cast<size_t>(rounded(count, together))), norms(squares.size()) {
    if (packed.size(0) != rounded(count, together) * pairs) throw std::runtime_error("squares and packed rows do not fit each other");
    std::copy_n(of_rows.data_ptr<float>(), count, squares.begin());
    for (size_t i = 0; i < squares.size(); ++i) norms[i] = std::sqrt(squares[i]);
    rows = {squares.data(), norms.data(), packed.data_ptr<int32_t>()};
  }

  int64_t count;
  std::vector<float> squares, norms;
  integers::Rows rows;
};

// Thresholds that nothing is below, where there are no candidates.
std::vector<float> thresholds_of(const Candidates& to, int64_t first, int64_t count, size_t places) {
  std::vector<float> all(places, -std::numeric_limits<float>::infinity());
  if (first >= 0) std::copy_n(to.thresholds + first, count, all.begin());
  return all;
}

// Of a block.
struct Found {
  int32_t row, column;
  float distance;
};

// packRows(rows (N, D), squares (N), columns) → int32: the rows, whose squared norms are `squares`, as 16-bit integers, packed as the rows or the
// columns of a block; null where the processor has no instructions for their products.
napi_value pack_rows(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<3> arguments(env, info);
    const at::Tensor& rows = require(to_tensor(env, arguments[0]), "rows", at::kFloat, 2);
    const at::Tensor& squares = require(to_tensor(env, arguments[1]), "squares", at::kFloat, 1);
    const int64_t together = to_bool(env, arguments[2], "columns") ? kColumns : kRows;
    const int64_t count = rows.size(0), dimensions = rows.size(1), pairs = integers::pairs_of(dimensions);
    if (squares.size(0) != count) throw std::runtime_error("there must be as many squares as rows");
    if (!integers::there()) return null(env);
    const at::Tensor packed = at::empty({rounded(count, together) * pairs}, at::kInt);
    int32_t* const to = packed.data_ptr<int32_t>();
    in_parallel(rounded(count, together), 16 * kColumns, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int32_t* const place = to + i / together * together * pairs + i % together;
        if (i < count) {
          integers::pack(rows.data_ptr<float>() + i * dimensions, dimensions, std::sqrt(squares.data_ptr<float>()[i]), together, place);
        } else {
          for (int64_t p = 0; p < pairs; ++p) place[p * together] = 0;
        }
      }
    });
    return from_tensor(env, packed);
  });
}

// offerPacked(dimensions, squares, packed, otherSquares, otherPacked, keys, counts, thresholds, keep, firstRow, firstIndex, transposedRow, transposedIndex, same): the
// squared distances of a block's rows to its columns (the others), of the indices firstIndex, …, to the candidates firstRow, …; and, if
// transposedRow is not negative, of the columns to the rows, of the indices transposedIndex, …, to the candidates transposedRow, …. `same`:
// the rows are the columns, and none is its own candidate.
napi_value offer_packed(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<14> arguments(env, info);
    const int64_t dimensions = to_int64(env, arguments[0], "dimensions"), pairs = integers::pairs_of(dimensions);
    if (dimensions < 1 || dimensions > std::numeric_limits<int32_t>::max()) throw std::runtime_error("dimensions must be 1 to 2^31 - 1");
    const auto side = [&](size_t first, int64_t together) {
      return Side(require(to_tensor(env, arguments[first]), "squares", at::kFloat, 1), require(to_tensor(env, arguments[first + 1]), "packed", at::kInt, 1),
                  together, pairs);
    };
    const Side rows = side(1, kRows), columns = side(3, kColumns);
    const Candidates to = to_candidates(env, arguments[5], arguments[6], arguments[7], to_int64(env, arguments[8], "keep"));
    const int64_t first_row = to_int64(env, arguments[9], "firstRow"), first_index = to_int64(env, arguments[10], "firstIndex");
    const int64_t transposed_row = to_int64(env, arguments[11], "transposedRow"), transposed_index = to_int64(env, arguments[12], "transposedIndex");
    const bool same = to_bool(env, arguments[13], "same"), transposed = transposed_row >= 0;
    const int64_t places = to_tensor(env, arguments[5]).size(0), most = std::numeric_limits<int32_t>::max();
    if (first_row < 0 || first_row > places - rows.count || transposed_row > places - columns.count) {
      throw std::runtime_error("the block reaches beyond the candidates' rows");
    }
    if (first_index < 0 || first_index > most - columns.count || transposed_index < 0 || transposed_index > most - rows.count) {
      throw std::runtime_error("indices must stay below 2^31");
    }
    if (transposed && transposed_row < first_row + rows.count && first_row < transposed_row + columns.count) {
      throw std::runtime_error("the candidates of the rows and of the columns must be different ones");
    }
    if (!integers::there()) throw std::runtime_error("this processor has no instructions for products of integers");
    const std::vector<float> column_thresholds = thresholds_of(to, transposed_row, columns.count, columns.squares.size());
    // What the columns are offered waits until all rows are through: a candidate's list belongs to one thread.
    std::vector<std::vector<Found>> waiting(static_cast<size_t>((rows.count + kStrip - 1) / kStrip));
    in_parallel(rows.count, kStrip, [&](int64_t begin, int64_t end) {
      std::vector<Found>& later = waiting[static_cast<size_t>(begin / kStrip)];
      float distances[kRows * kColumns];
      for (int64_t column = 0; column < columns.count; column += kColumns) {
        for (int64_t row = begin; row < end; row += kRows) {
          const int64_t some = std::min(kRows, end - row);
          float thresholds[kRows];
          for (int64_t i = 0; i < kRows; ++i) thresholds[i] = i < some ? to.thresholds[first_row + row + i] : -1;
          uint32_t bits[kRows];
          integers::tile(rows.rows, row, thresholds, columns.rows, column, column_thresholds.data() + column, pairs, distances, bits);
          for (int64_t i = 0; i < some; ++i) {
            const int64_t own = first_row + row + i;
            for (; bits[i] != 0; bits[i] &= bits[i] - 1) {
              const int64_t lane = __builtin_ctz(bits[i]), at = column + lane;
              if (at >= columns.count || (same && at == row + i)) continue;
              const float distance = distances[i * kColumns + lane];
              if (distance <= to.thresholds[own]) to.add(own, distance, first_index + at);
              if (distance <= column_thresholds[static_cast<size_t>(at)]) later.push_back({static_cast<int32_t>(row + i), static_cast<int32_t>(at), distance});
            }
          }
        }
      }
    });
    if (!transposed) return undefined(env);
    const int64_t piece = rounded(columns.count, at::get_num_threads()) / at::get_num_threads();
    in_parallel(columns.count, std::max<int64_t>(1, piece), [&](int64_t begin, int64_t end) {
      for (const std::vector<Found>& some : waiting) {
        for (const Found& found : some) {
          const int64_t own = transposed_row + found.column;
          const bool here = found.column >= begin && found.column < end;
          if (here && found.distance <= to.thresholds[own]) to.add(own, found.distance, transposed_index + found.row);
        }
      }
    });
    return undefined(env);
  });
}

}  // namespace

void register_packed_distances(napi_env env, napi_value exports) {
  define(env, exports, "packRows", pack_rows);
  define(env, exports, "offerPacked", offer_packed);
}

}  // namespace conquer
