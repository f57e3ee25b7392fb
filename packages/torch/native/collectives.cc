// What processes that train together exchange, around their ring: sums, rows, and what one of them has. Every sum is made in
// one order, so that all ranks have the same bits.
#include "collectives.h"


#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>

namespace conquer {
namespace {

constexpr size_t kPiece = 1 << 18;  // bytes that are handed on at a time

// What a rank brings to a collective.
struct Brought {
  char words[184];
  int64_t rows;
};

std::string shape_of(const at::Tensor& tensor, bool any_rows) {
  std::string words;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    words += (dim == 0 ? "" : ", ") + (dim == 0 && any_rows ? std::string("*") : std::to_string(tensor.size(dim)));
  }
  return "(" + words + ")";
}

const at::Tensor& plain(const at::Tensor& tensor) {
  if (!tensor.device().is_cpu() || !tensor.is_contiguous() || tensor.layout() != at::kStrided) {
    throw std::runtime_error("expected a contiguous tensor on the CPU");
  }
  return tensor;
}

char* bytes_of(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

template <typename Number>
void sum(ProcessGroup& group, Number* data, size_t count) {
  const int size = group.place.size;
  const auto begin = [&](int part) { return count * static_cast<size_t>(part) / static_cast<size_t>(size); };
  const auto bytes = [&](int part) { return (begin(part + 1) - begin(part)) * sizeof(Number); };
  std::vector<Number> arrived(count / static_cast<size_t>(size) + 1);
  // Each part goes around once and grows: part p begins at rank p, and is whole at the rank before.
  int part = group.place.rank;
  for (int step = 0; step + 1 < size; ++step) {
    const int next = (part + size - 1) % size;
    Number* const own = data + begin(next);
    size_t added = 0;
    group.exchange(data + begin(part), bytes(part), arrived.data(), bytes(next), [&](size_t there) {
      for (const size_t end = there / sizeof(Number); added < end; ++added) own[added] = arrived[added] + own[added];
    });
    part = next;
  }
  // And once more, as it is.
  for (int step = 0; step + 1 < size; ++step) {
    const int next = (part + size - 1) % size;
    group.exchange(data + begin(part), bytes(part), data + begin(next), bytes(next));
    part = next;
  }
}

}  // namespace

std::vector<int64_t> agree(ProcessGroup& group, const std::string& call, const at::Tensor* tensor, bool any_rows) {
  Brought own{};
  std::string words = call;
  if (tensor != nullptr) words += std::string(" of ") + dtype_name(tensor->scalar_type()) + " " + shape_of(*tensor, any_rows);
  std::strncpy(own.words, words.c_str(), sizeof own.words - 1);
  own.rows = tensor != nullptr && tensor->dim() > 0 ? tensor->size(0) : 1;
  const std::vector<char> all = group.gather(&own, sizeof own);
  std::vector<int64_t> rows;
  Brought first{}, other{};
  std::memcpy(&first, all.data(), sizeof first);
  for (int rank = 0; rank < group.place.size; ++rank) {
    std::memcpy(&other, all.data() + sizeof other * static_cast<size_t>(rank), sizeof other);
    if (std::strncmp(first.words, other.words, sizeof first.words) != 0) {
      throw std::runtime_error("the processes do not do the same: rank 0 " + std::string(first.words) + ", rank " +
                               std::to_string(rank) + " " + std::string(other.words));
    }
    rows.push_back(other.rows);
  }
  return rows;
}

void sum_over_ranks(ProcessGroup& group, const at::Tensor& tensor) {
  const size_t count = static_cast<size_t>(tensor.numel());
  switch (tensor.scalar_type()) {
    case at::kFloat: return sum(group, tensor.data_ptr<float>(), count);
    case at::kDouble: return sum(group, tensor.data_ptr<double>(), count);
    case at::kInt: return sum(group, tensor.data_ptr<int32_t>(), count);
    case at::kLong: return sum(group, tensor.data_ptr<int64_t>(), count);
    default: throw std::runtime_error(std::string("expected float32, float64, int32 or int64, got ") + dtype_name(tensor.scalar_type()));
  }
}

ProcessGroup& group_of(napi_env env, napi_value value, bool while_summing) {
  auto& groups = Environment::of(env).groups;
  const int64_t at = to_integer(env, value, 0, int64_t{1} << 30, "group");
  if (static_cast<size_t>(at) >= groups.size() || groups[static_cast<size_t>(at)] == nullptr) {
    throw std::runtime_error("the process has left the group");
  }
  ProcessGroup& group = *groups[static_cast<size_t>(at)];
  if (group.gradients != nullptr && !while_summing) throw std::runtime_error("gradients are being summed");
  return group;
}

namespace {

// Handles of one call among many in an entry.
struct HandleScope {
  explicit HandleScope(napi_env of) : env(of) { check(napi_open_handle_scope(env, &scope), "cannot open a scope of handles"); }
  ~HandleScope() {
    if (napi_close_handle_scope(env, scope) != napi_ok) return;  // it fails only where none is open
  }
  HandleScope(const HandleScope&) = delete;
  const napi_env env;
  napi_handle_scope scope = nullptr;
};

// joinProcessGroup(host, port, rank, size, timeout, silence, onWaiting) → the group. Waits for all ranks; times in seconds. onWaiting is
// told of whom it waits for, some times a second; where it gives true, the waiting ends with an error.
napi_value join(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<7> arguments(env, info);
    GroupPlace place;
    place.host = to_string(env, arguments[0], "host");
    place.port = static_cast<int>(to_integer(env, arguments[1], 0, 65535, "port"));
    place.size = static_cast<int>(to_integer(env, arguments[3], 1, 1 << 16, "size"));
    place.rank = static_cast<int>(to_integer(env, arguments[2], 0, place.size - 1, "rank"));
    place.timeout = to_double(env, arguments[4], "timeout");
    place.silence = to_double(env, arguments[5], "silence");
    if (!(place.timeout > 0 && place.timeout < 1e8 && place.silence > 0 && place.silence < 1e8)) {
      throw std::invalid_argument("expected times above 0 and below 1e8 seconds");
    }
    auto& groups = Environment::of(env).groups;
    const auto waiting = [&](const std::string& whom) {
      const HandleScope scope(env);
      const napi_value given = from_string(env, whom);
      napi_value answer;
      bool ends = false;
      check(napi_call_function(env, undefined(env), arguments[6], 1, &given, &answer), "onWaiting failed");
      check(napi_get_value_bool(env, answer, &ends), "onWaiting gave no boolean");
      if (ends) throw std::runtime_error("the waiting was given up");
    };
    groups.push_back(std::make_shared<ProcessGroup>(std::move(place), waiting));
    return from_double(env, static_cast<double>(groups.size() - 1));
  });
}

// leaveProcessGroup(group, reason): '' in peace.
napi_value leave(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const std::string reason = to_string(env, arguments[1], "reason");
    ProcessGroup& group = group_of(env, arguments[0], true);
    group.gradients.reset();
    group.leave(reason);
    Environment::of(env).groups[static_cast<size_t>(to_double(env, arguments[0], "group"))].reset();
    return undefined(env);
  });
}

// allReduce(group, tensor): the sum over all ranks, in its place.
napi_value all_reduce(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    ProcessGroup& group = group_of(env, arguments[0]);
    const at::Tensor& tensor = plain(to_tensor(env, arguments[1]));
    FlushDenormals flush(Environment::of(env));
    agree(group, "allReduce", &tensor);
    sum_over_ranks(group, tensor);
    tensor.unsafeGetTensorImpl()->bump_version();
    return undefined(env);
  });
}

// allGather(group, tensor (N, …)) → (N of all ranks, …), by rank; each may have rows of its own number.
napi_value all_gather(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    ProcessGroup& group = group_of(env, arguments[0]);
    const at::Tensor& tensor = plain(to_tensor(env, arguments[1]));
    if (tensor.dim() == 0) throw std::runtime_error("expected rows, got a tensor of no dimensions");
    const std::vector<int64_t> rows = agree(group, "allGather", &tensor, true);
    std::vector<size_t> begin{0};
    int64_t all_rows = 0;
    // Of an empty tensor no row says how many bytes it has.
    int64_t row_bytes = static_cast<int64_t>(tensor.element_size());
    for (int64_t dim = 1; dim < tensor.dim(); ++dim) row_bytes *= tensor.size(dim);
    for (const int64_t count : rows) begin.push_back(static_cast<size_t>((all_rows += count) * row_bytes));
    std::vector<int64_t> shape = tensor.sizes().vec();
    shape[0] = all_rows;
    at::Tensor all = at::empty(shape, tensor.options());
    const int size = group.place.size;
    int at = group.place.rank;
    const auto bytes = [&](int rank) { return begin[static_cast<size_t>(rank) + 1] - begin[static_cast<size_t>(rank)]; };
    const auto of = [&](int rank) { return bytes_of(all) + begin[static_cast<size_t>(rank)]; };
    if (bytes(at) > 0) std::memcpy(of(at), bytes_of(tensor), bytes(at));
    for (int step = 0; step + 1 < size; ++step) {
      const int before = (at + size - 1) % size;
      group.exchange(of(at), bytes(at), of(before), bytes(before));
      at = before;
    }
    return from_tensor(env, std::move(all));
  });
}

// broadcast(group, tensor): what rank 0 has, in its place.
napi_value broadcast(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    ProcessGroup& group = group_of(env, arguments[0]);
    const at::Tensor& tensor = plain(to_tensor(env, arguments[1]));
    agree(group, "broadcast", &tensor);
    char* const data = bytes_of(tensor);
    const size_t all = static_cast<size_t>(tensor.nbytes());
    const bool receives = group.place.rank != 0;
    const bool sends = group.next() != 0;
    // A piece is handed on while the next one arrives.
    for (size_t from = 0, have = receives ? 0 : all; from < all || have < all;) {
      const size_t out = sends ? std::min(kPiece, have - from) : 0;
      const size_t in = receives ? std::min(kPiece, all - have) : 0;
      group.exchange(data + from, out, data + have, in);
      from += sends ? out : std::min(kPiece, all - from);
      have += in;
    }
    tensor.unsafeGetTensorImpl()->bump_version();
    return undefined(env);
  });
}

// barrier(group): returns once all ranks have called it.
napi_value barrier(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    agree(group_of(env, Arguments<1>(env, info)[0]), "barrier", nullptr);
    return undefined(env);
  });
}

}  // namespace

void register_collectives(napi_env env, napi_value exports) {
  define(env, exports, "joinProcessGroup", join);
  define(env, exports, "leaveProcessGroup", leave);
  define(env, exports, "allReduce", all_reduce);
  define(env, exports, "allGather", all_gather);
  define(env, exports, "broadcast", broadcast);
  define(env, exports, "barrier", barrier);
}

}  // namespace conquer
