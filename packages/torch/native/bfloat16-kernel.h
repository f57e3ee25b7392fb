// What a convolution in bfloat16 needs beside oneDNN's products, on maps whose channels lie together: plain numbers, no libtorch. A bfloat16 is
// the upper half of a float32. For processors with instructions for it; elsewhere nothing of this may be called.
#pragma once

#include <cstdint>
#include <limits>

namespace conquer {
namespace bfloat16 {

// Of how many channels a map's row has to be a multiple.
constexpr int64_t kChannels = 32;

// Whether the processor has the instructions, and no faster ones of whole tiles (AMX), which oneDNN uses.
bool is_fast();

// Weights (outputs, inputs, taps) · scale (outputs; null: 1) → (outputs, taps, inputs), of outputs [begin, end).
void fold_weights(const float* weight, const float* scale, int64_t begin, int64_t end, int64_t inputs, int64_t taps, uint16_t* to);

// Between which numbers an activation keeps them: ReLU's are 0 and infinity. NaN stays NaN.
struct Limits {
  float least = -std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::infinity();
  bool any() const { return least > -std::numeric_limits<float>::infinity() || most < std::numeric_limits<float>::infinity(); }
};

// y + residual (null: none) within the limits.
void add_and_limit(uint16_t* y, const uint16_t* residual, int64_t count, Limits limits);

// y = x Φ(x), Φ the normal distribution's function; and the gradient by x.
void gelu(const uint16_t* x, int64_t count, uint16_t* y);
void gradient_of_gelu(const uint16_t* gradient, const uint16_t* x, int64_t count, uint16_t* to);

// Of each channel of `rows` gradients, those where y is above 0 (null: all) → `to` (null: nowhere), their sums added to `sums` (null: nowhere).
void gradient_of_relu(const uint16_t* gradient, const uint16_t* y, int64_t rows, int64_t channels, uint16_t* to, float* sums);

// A range of channels: begin and end are multiples of kChannels.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};


// Σ over rows of a[row] b[row]ᵀ, of these channels of a and b. Rows are even in number.
class ProductOfRows {
 public:
  static constexpr int64_t kMostRows = 512;
  ProductOfRows(Range a, Range b);
  ~ProductOfRows();
  ProductOfRows(const ProductOfRows&) = delete;

  // Into sums (a's channels, apart), `sums` being where the first of a and of b belongs; `first`: what was in them does not count.
  void add(const uint16_t* const* a, const uint16_t* const* b, int64_t rows, bool first, float* sums, int64_t apart);

 private:
  const Range a_, b_;
  uint32_t* const packed_a_;
  uint32_t* const packed_b_;
};

// What becomes of each sum of a product: the column's bias (null: none) and the residual (null: none) are added, and it is kept within the limits.
struct Finish {
  const float* bias = nullptr;
  const uint16_t* residual = nullptr;
  Limits limits = {};
};

// Rows of numbers, so far apart, of which there are so many: those behind them count as zeros.
struct Matrix {
  const uint16_t* numbers;
  int64_t apart, rows;
};

// Columns that are packed together; what is behind the last one counts as zeros.
constexpr int64_t kColumns = 32;
inline int64_t whole_panels(int64_t columns) { return (columns + kColumns - 1) / kColumns * kColumns; }

// Weights (columns, depth) in the order in which product() reads them, of columns [begin, end), multiples of kColumns; the depth is even.
void pack_columns(const Matrix& weight, int64_t depth, int64_t begin, int64_t end, uint32_t* to);
// The same of weights (depth, columns), which are a part of the depth `whole`, `to` being where the first of them belongs in the first panel.
void pack_rows(const Matrix& weight, int64_t depth, int64_t whole, int64_t begin, int64_t end, uint32_t* to);

// What is multiplied: `count` rows, each of as many pieces as there are taps, of `depth` numbers. Piece t of row i begins at rows[t * apart + i], and they go
// on to a multiple of kRows with any of them. Where all of a tile's rows have `zeros` (null: none) for a tap, it is left out.
struct Pieces {
  const uint16_t* const* rows;
  int64_t apart, count, taps, depth;
  const uint16_t* zeros = nullptr;
};

// Where products go: numbers of the first row and column 0, so far apart from row to row; row i is that of places[i] (null: i). Beyond the columns nothing is written.
struct Outputs {
  uint16_t* numbers;
  int64_t apart, columns;
  const int32_t* places = nullptr;
};

// Columns [begin, end) of the product with packed weights, begin a multiple of kColumns. The residual lies as the outputs do.
constexpr int64_t kRows = 8;
void product(const Pieces& of, const uint32_t* packed, int64_t begin, int64_t end, const Finish& finish, const Outputs& to);

// The same of all columns, a multiple of kColumns, in float32, without what follows.
void product(const Pieces& of, const uint32_t* packed, int64_t columns, float* y);

// A map whose channels are each convolved by itself: windows of kernel × kernel pixels, `step` pixels apart, begin `top` and `left` of the map, and see zeros outside it.
struct ChannelMap {
  const uint16_t* x;
  int64_t height, width, channels, kernel, step, top, left;
};

// Weights (channels, kernel, kernel) in the order in which each_channel() reads them: whole_panels(channels) numbers for each tap.
void pack_channels(const float* weight, int64_t channels, int64_t taps, float* to);
// Row `row` of the outputs, of `columns` pixels, y and the residual being its first one.
void each_channel(const ChannelMap& of, int64_t row, int64_t columns, const float* packed, const Finish& finish, uint16_t* y);

// Of each of `count` rows of scores, `apart` numbers long, of which `some` count: e^(scale · score) / its sum over the row, zeros behind, and the logarithm
// of the sum.
void softmax(const float* scores, int64_t count, int64_t some, int64_t apart, float scale, uint16_t* to, float* logarithms);

// Of the same rows again, and the products of the gradients of what they weigh with the values: the weights, and the scores' gradients
// scale · weight · (product - mean), `means` being those of each row's products by its weights.
void gradient_of_softmax(const float* scores, const float* products, int64_t count, int64_t some, int64_t apart, float scale, const float* logarithms,
                         const float* means, uint16_t* weights, uint16_t* gradients);

// Σ a b, and numbers rounded.
float dot(const uint16_t* a, const uint16_t* b, int64_t count);
void round_all(const float* from, int64_t count, uint16_t* to);

// Of the gradient (outputs, taps, inputs) of folded weights, outputs [begin, end): the weights' own (outputs, inputs, taps) · scale, and for each output
// the sum of gradient · weight, which is its scale's. Without a scale (null) that is left out.
void unfold_gradient(const float* gradient, const float* weight, const float* scale, int64_t begin, int64_t end, int64_t inputs, int64_t taps, float* to,
                     float* of_scale);

}  // namespace bfloat16
}  // namespace conquer
