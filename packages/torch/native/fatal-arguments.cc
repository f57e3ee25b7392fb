#include "fatal-arguments.h"

#include <ATen/core/Tensor.h>

#include <sstream>
#include <stdexcept>
#include <string>

namespace conquer {
namespace {

void refuse(const char* argument, const std::string& expected, const at::Tensor& found) {
  std::ostringstream shape;
  shape << found.sizes();
  throw std::runtime_error("argument '" + std::string(argument) + "': expected " + expected + ", got the shape " + shape.str());
}

// libtorch 1.13 divides by the sizes of a batch-norm's input without looking: without rows or channels the processor
// raises SIGFPE, which no handler can turn into an error. aten::batch_norm looks, and takes such an input. Nor does it look
// whether the other tensors have a number for each channel before it reads and writes them.
void check_batch_norm(const c10::FunctionSchema& schema, const torch::jit::Stack& stack) {
  const auto tensor = [&](const char* argument) {
    const auto index = schema.argumentIndexWithName(argument);
    return index && stack[*index].isTensor() ? stack[*index].toTensor() : at::Tensor();
  };
  const at::Tensor input = tensor("input");
  if (!input.defined() || input.dim() < 2) return;
  if (input.size(0) == 0 || input.size(1) == 0) {
    refuse("input", "at least one row and one channel (batch_norm takes an empty batch)", input);
  }
  for (const char* const argument : {"weight", "bias", "running_mean", "running_var", "save_mean", "save_invstd"}) {
    const at::Tensor found = tensor(argument);
    // Without training there are none saved.
    if (found.defined() && found.numel() == 0 && argument[0] == 's') continue;
    if (found.defined() && (found.dim() != 1 || found.size(0) != input.size(1))) {
      refuse(argument, "a number for each of " + std::to_string(input.size(1)) + " channels", found);
    }
  }
  const at::Tensor gradient = tensor("grad_out");
  if (gradient.defined() && !gradient.sizes().equals(input.sizes())) refuse("grad_out", "the shape of input", gradient);
}

}  // namespace

void refuse_fatal_arguments(const c10::FunctionSchema& schema, const torch::jit::Stack& stack) {
  if (schema.name().rfind("aten::native_batch_norm", 0) == 0) check_batch_norm(schema, stack);
}

}  // namespace conquer
