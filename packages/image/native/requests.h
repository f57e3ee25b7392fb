// Jobs that make pixels of requests.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "buffers.h"
#include "image.h"
#include "task.h"

namespace conquer {

// Of an image: not worked on; done; not a JPEG for this addon; the file does not hold what was written there; a JPEG
// without an end.
enum Outcome : uint8_t { kOpen = 0, kDone = 1, kOther = 2, kDamaged = 3, kShort = 4 };

constexpr size_t kRequestNumbers = 11;
constexpr int32_t kMostSide = 65535;
// Of an image that is thin for it, and of a whole that only a part is made of, which is no pixels but a scale.
constexpr int32_t kMostWhole = 1 << 30;

// The requests of a job, and where each result goes: one after the other; the last place is the end.
struct Requests {
  std::vector<Request> requests;
  std::vector<size_t> places;

  Requests(View<int32_t> numbers, size_t count, View<uint8_t> out, View<uint8_t> outcomes) {
    numbers.expect(kRequestNumbers * count, "requests");
    outcomes.expect(count, "outcomes");
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
      const int32_t* n = numbers.data + kRequestNumbers * i;
      if (n[4] < 1 || n[5] < 1 || n[4] > kMostSide || n[5] > kMostSide) {
        throw std::invalid_argument("requests: expected sizes from 1 to 65535");
      }
      if (n[9] < 0 || n[10] < 0 || n[9] > kMostWhole || n[10] > kMostWhole || (n[9] == 0) != (n[10] == 0)) {
        throw std::invalid_argument("requests: expected sizes of the whole from 1 to 2^30, or two zeros");
      }
      const Kernel kernel = n[8] != 0 ? Kernel::cubic : Kernel::triangle;
      requests.push_back({n[0], n[1], n[2], n[3], n[4], n[5], n[6] != 0, n[7] != 0, kernel, n[9], n[10]});
      places.push_back(place);
      place += static_cast<size_t>(n[4]) * static_cast<size_t>(n[5]) * 3;
    }
    out.expect(place, "out");
    places.push_back(place);
  }
};

// A job that makes pixels of requests.
class RequestsTask : public Task {
 public:
  RequestsTask(Requests requests, Buffers& buffers, size_t threads)
      : Task(requests.requests.size(), threads),
        requests_(std::move(requests)),
        out_(buffers, nullptr, requests_.places.back()),
        outcomes_(requests_.requests.size(), kOpen) {}

 protected:
  const Request& request(size_t item) const { return requests_.requests[item]; }
  uint8_t* out(size_t item) { return out_.as() + requests_.places[item]; }
  uint8_t& outcome(size_t item) { return outcomes_[item]; }

  // The pixels of those that are done; what is in the way of the others stays.
  void fill(napi_env env) override {
    std::copy(outcomes_.begin(), outcomes_.end(), array<uint8_t>(env, 1, outcomes_.size()));
    uint8_t* const pixels = array<uint8_t>(env, 0, out_.size());
    for (size_t first = 0; first < outcomes_.size();) {
      size_t after = first;
      while (after < outcomes_.size() && outcomes_[after] == kDone) after++;
      const size_t start = requests_.places[first];
      if (after > first) std::memcpy(pixels + start, out_.as() + start, requests_.places[after] - start);
      first = after + 1;
    }
  }

 private:
  const Requests requests_;
  const Copy out_;
  std::vector<uint8_t> outcomes_;
};

}  // namespace conquer
