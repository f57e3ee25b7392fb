// Processes that train together: who they are, and the ring in which they hand data on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sockets.h"

namespace conquer {

class GradientSums;

struct GroupPlace {
  std::string host;  // of rank 0
  int port;          // that rank 0 listens on
  int rank;
  int size;
  double timeout;  // seconds that a process is waited for, to join or in a collective
  double silence;  // seconds without a sign of life until a process is lost
};

class ProcessGroup {
 public:
  // Told some times a second, while others are waited for, of whom. It ends the waiting by an exception.
  using Waiting = std::function<void(const std::string& whom)>;

  // Waits for all the others.
  ProcessGroup(GroupPlace place, const Waiting& waiting);
  // The others take a process for lost that has not left.
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;

  const GroupPlace place;

  // Sends to the next rank while it receives from the one before; `received` is told of all bytes that are there so far.
  // @throws std::runtime_error that names the rank that was lost, wherever in the group it is
  void exchange(const void* out, size_t out_bytes, void* in, size_t in_bytes,
                const std::function<void(size_t)>& received = nullptr);

  // What every rank gives, `bytes` of each, by rank.
  std::vector<char> gather(const void* own, size_t bytes);

  // Ends the exchange that is under way in another thread; after that none is possible.
  void give_up() { gives_up_ = true; }

  // Goes: in peace, or where there is a reason, so that the others end with it.
  void leave(const std::string& reason);

  int next() const { return (place.rank + 1) % place.size; }
  int previous() const { return (place.rank + place.size - 1) % place.size; }

 private:
  // The connection to another process for signs of life: of rank 0 to each, of the others to rank 0.
  struct Line {
    int rank;
    Socket socket;
    std::string unread;
    Clock::time_point heard;
    bool has_left = false;
  };

  void meet_others(const Waiting& waiting);
  void meet_at_first(const Waiting& waiting);
  void join_ring(const Socket& listener, const std::string& next_host, int next_port, uint64_t token, Clock::time_point deadline,
                 const Waiting& waiting);
  void watch();
  void hear(Line& line);
  void say(Line& line, char kind, int rank, const std::string& words = "");
  void fail(int rank, const std::string& words);
  [[noreturn]] void throw_lost(const std::string& otherwise);

  Socket to_next_;
  Socket from_previous_;
  std::vector<Line> lines_;
  std::mutex mutex_;     // of lines_ and failure_
  std::string failure_;  // set once
  std::atomic<bool> has_failed_{false};
  std::atomic<bool> gives_up_{false};
  std::atomic<bool> ends_{false};
  std::thread watcher_;

 public:
  std::shared_ptr<GradientSums> gradients;  // while they are summed, in a thread that uses all of the above
};

}  // namespace conquer
