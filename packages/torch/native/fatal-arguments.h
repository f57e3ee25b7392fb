// Arguments with which an operator of libtorch would end the process.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/stack.h>

namespace conquer {

// Throws std::runtime_error for arguments that the operator does not survive.
void refuse_fatal_arguments(const c10::FunctionSchema& schema, const torch::jit::Stack& stack);

}  // namespace conquer
