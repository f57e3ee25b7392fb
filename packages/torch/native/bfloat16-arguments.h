// What JavaScript asks of a convolution in bfloat16.
#pragma once

#include "bfloat16-windows.h"
#include "environment.h"
#include "plain-tensor.h"

namespace conquer {
namespace bfloat16 {

constexpr int64_t kMost = 1 << 20;

inline void expect(bool fits, const char* what) {
  if (!fits) throw std::runtime_error(std::string("a convolution in bfloat16: ") + what);
}

inline bool is_plain(const at::Tensor& tensor, at::ScalarType type, int64_t dims) { return conquer::is_plain(tensor, type) && tensor.dim() == dims; }

// A number for each output, or undefined.
inline at::Tensor to_numbers(napi_env env, napi_value value, int64_t outputs, const char* what) {
  if (is_null(env, value)) return {};
  const at::Tensor numbers = to_tensor(env, value);
  expect(is_plain(numbers, at::kFloat, 1) && numbers.size(0) == outputs, what);
  return numbers.contiguous();
}

// [strides, zeros above and left, zeros below and right, dilations, groups]
inline Geometry to_geometry(napi_env env, napi_value value) {
  const std::vector<int64_t> given = to_int64_list(env, value, "strides, zeros, dilations and groups");
  expect(given.size() == 9, "expected two strides, counts of zeros before and behind, and dilations each, and the groups");
  for (size_t i = 0; i < given.size(); ++i) {
    expect(given[i] >= (i >= 2 && i <= 5 ? 0 : 1) && given[i] < kMost, "strides, dilations and groups must be 1 to 1,048,575, zeros 0 to as many");
  }
  return {{given[0], given[1]}, {given[2], given[3]}, {given[4], given[5]}, {given[6], given[7]}, given[8]};
}

// Of maps and weights of these sizes, (O, I / groups, kH, kW), if there are any.
inline std::vector<int64_t> shape_of_outputs(const at::Tensor& x, at::IntArrayRef weight, const Geometry& by) {
  expect(is_plain(x, at::kFloat, 4) || is_plain(x, at::kBFloat16, 4), "the maps must be float32 or bfloat16 with 4 dimensions on the CPU");
  expect(weight[0] % by.groups == 0, "the output's channels must be a multiple of the groups");
  expect(x.numel() > 0 && x.size(1) / by.groups == weight[1] && x.size(1) % by.groups == 0, "the maps' channels must be the weights'");
  std::vector<int64_t> shape{x.size(0), weight[0]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t kernel = weight[i + 2], side = x.size(static_cast<int64_t>(i) + 2);
    expect(kernel < kMost && side < kMost, "the maps and the kernel must be below 1,048,576 pixels a side");
    const int64_t room = side + by.padding[i] + by.after[i] - by.dilation[i] * (kernel - 1) - 1;
    expect(room >= 0, "the kernel must fit into the maps and their zeros");
    shape.push_back(room / by.stride[i] + 1);
  }
  return shape;
}

inline at::Tensor to_residual(napi_env env, napi_value value, const std::vector<int64_t>& shape) {
  if (is_null(env, value)) return {};
  const at::Tensor& added = to_tensor(env, value);
  expect(is_plain(added, at::kBFloat16, 4) && added.sizes() == at::IntArrayRef(shape), "what is added must be bfloat16 in the output's shape");
  return added.contiguous(kLast);
}

}  // namespace bfloat16
}  // namespace conquer
