// What collectives of a group of processes have in common, whoever calls them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "environment.h"
#include "process-group.h"

namespace conquer {

// All ranks call the same with the same dtype and shape: nobody would notice else, but by numbers that make no sense.
// @returns the first size of each rank's tensor
std::vector<int64_t> agree(ProcessGroup& group, const std::string& call, const at::Tensor* tensor, bool any_rows = false);

// A contiguous tensor on the CPU becomes the sum of all ranks' tensors, added up in one order. @throws for a dtype that has no such sum
void sum_over_ranks(ProcessGroup& group, const at::Tensor& tensor);

// Of the environment. @throws where the process has left it, or gradients are being summed in it
ProcessGroup& group_of(napi_env env, napi_value value, bool while_summing = false);

}  // namespace conquer
