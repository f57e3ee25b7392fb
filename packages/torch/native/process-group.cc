// How a group of processes comes together, and how each hears that another is gone.
//
// Rank 0 listens where all know it (MASTER_ADDR, MASTER_PORT), and tells each where the next one listens: the ring. The first
// connections stay as lines for signs of life, which a thread sends and hears, whatever the process computes meanwhile.
#include "process-group.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

namespace conquer {
namespace {

constexpr uint64_t kMagic = 0x31'72'65'75'71'6e'6f'63;  // "conquer1"
constexpr double kBeat = 2;                            // seconds between signs of life
constexpr double kNaming = 3;                          // seconds in which rank 0 says who is gone
constexpr size_t kWords = 400;                         // of a reason
constexpr size_t kRanks = 40;                          // of a list of ranks, in characters

struct Hello {
  uint64_t magic;
  int32_t rank, size, port, unused;
};

struct Welcome {
  uint64_t token;
  int32_t next_port, next_is_near;  // near: as near to rank 0 as its own loopback
  char next_host[64];
};

struct RingHello {
  uint64_t magic, token;
  int32_t rank, unused;
};

struct Frame {
  char kind;  // 'h': alive; 'b': leaves; 'x': `rank` is gone, and why
  int32_t rank;
  uint32_t length;
};

std::string name_of(int rank, int size) { return "rank " + std::to_string(rank) + " of " + std::to_string(size); }

}  // namespace

ProcessGroup::ProcessGroup(GroupPlace given, const Waiting& waiting) : place(std::move(given)) {
  if (place.size == 1) return;
  try {
    if (place.rank == 0) meet_others(waiting);
    else meet_at_first(waiting);
  } catch (const std::exception& error) {
    throw std::runtime_error(name_of(place.rank, place.size) + " did not meet the others at " + place.host + ":" +
                             std::to_string(place.port) + ": " + error.what());
  }
  watcher_ = std::thread([this] { watch(); });
}

ProcessGroup::~ProcessGroup() {
  ends_ = true;
  if (watcher_.joinable()) watcher_.join();
}

void ProcessGroup::meet_others(const Waiting& waiting) {
  const auto deadline = seconds_from_now(place.timeout);
  const Socket meeting = listen_on(place.port, place.host);
  const Socket listener = listen_on(0, place.host);
  struct Met {
    Socket socket;
    int port = 0;
    std::string host;
  };
  std::vector<Met> met(static_cast<size_t>(place.size));
  met[0].port = port_of(listener);
  for (int missing = place.size - 1; missing > 0;) {
    Socket socket = accept_from(meeting, deadline, [&] {
      std::string ranks;
      for (int rank = 1; rank < place.size; ++rank) {
        if (met[static_cast<size_t>(rank)].socket.is_open()) continue;
        if (ranks.size() > kRanks) {
          ranks += ", …";
          break;
        }
        ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
      }
      waiting((missing == 1 ? "rank " : "ranks ") + ranks + " of " + std::to_string(place.size));
    });
    if (!socket.is_open()) throw std::runtime_error(std::to_string(place.size - missing) + " of " + std::to_string(place.size) + " processes came in time");
    Hello hello{};
    try {
      socket.receive_all(&hello, sizeof hello, std::min(deadline, seconds_from_now(5)));
    } catch (const std::exception&) {
      continue;  // a port scanner, or a process that has ended
    }
    if (hello.magic != kMagic) continue;
    if (hello.size != place.size || hello.rank < 1 || hello.rank >= place.size) {
      throw std::runtime_error("a process came as " + name_of(hello.rank, hello.size));
    }
    Met& other = met[static_cast<size_t>(hello.rank)];
    if (other.socket.is_open()) throw std::runtime_error("two processes came as " + name_of(hello.rank, hello.size));
    other.host = socket.peer_address();
    other.port = hello.port;
    other.socket = std::move(socket);
    --missing;
  }
  std::random_device random;
  const uint64_t token = (uint64_t{random()} << 32) ^ random();
  for (int rank = 1; rank < place.size; ++rank) {
    const Met& next = met[static_cast<size_t>((rank + 1) % place.size)];
    Welcome welcome{token, next.port, next.host.empty() || is_loopback(next.host), {}};
    std::strncpy(welcome.next_host, next.host.c_str(), sizeof welcome.next_host - 1);
    met[static_cast<size_t>(rank)].socket.send_all(&welcome, sizeof welcome, deadline);
  }
  const std::string next_host = met[1].host;
  const int next_port = met[1].port;
  for (int rank = 1; rank < place.size; ++rank) {
    lines_.push_back({rank, std::move(met[static_cast<size_t>(rank)].socket), "", Clock::now()});
  }
  join_ring(listener, next_host, next_port, token, deadline, waiting);
}

void ProcessGroup::meet_at_first(const Waiting& waiting) {
  const auto deadline = seconds_from_now(place.timeout);
  const Socket listener = listen_on(0, place.host);
  Socket socket = connect_to(place.host, place.port, deadline, [&] { waiting(name_of(0, place.size)); });
  const Hello hello{kMagic, place.rank, place.size, port_of(listener), 0};
  socket.send_all(&hello, sizeof hello, deadline);
  wait_to_receive(socket, deadline, [&] { waiting("others that rank 0 waits for"); });
  Welcome welcome{};
  socket.receive_all(&welcome, sizeof welcome, deadline);
  welcome.next_host[sizeof welcome.next_host - 1] = '\0';
  lines_.push_back({0, std::move(socket), "", Clock::now()});
  // Whom rank 0 knows as itself, others know as they know rank 0.
  const std::string next_host = welcome.next_is_near != 0 ? place.host : welcome.next_host;
  join_ring(listener, next_host, welcome.next_port, welcome.token, deadline, waiting);
}

void ProcessGroup::join_ring(const Socket& listener, const std::string& next_host, int next_port, uint64_t token,
                             Clock::time_point deadline, const Waiting& waiting) {
  to_next_ = connect_to(next_host, next_port, deadline, [&] { waiting(name_of(next(), place.size)); });
  const RingHello own{kMagic, token, place.rank, 0};
  to_next_.send_all(&own, sizeof own, deadline);
  while (!from_previous_.is_open()) {
    Socket socket = accept_from(listener, deadline, [&] { waiting(name_of(previous(), place.size)); });
    if (!socket.is_open()) throw std::runtime_error(name_of(previous(), place.size) + " did not come in time");
    RingHello hello{};
    try {
      socket.receive_all(&hello, sizeof hello, std::min(deadline, seconds_from_now(5)));
    } catch (const std::exception&) {
      continue;
    }
    if (hello.magic == kMagic && hello.token == token && hello.rank == previous()) from_previous_ = std::move(socket);
  }
}

void ProcessGroup::watch() {
  auto next_beat = Clock::now();
  auto before = Clock::now();
  while (!ends_ && !has_failed_) {
    std::vector<pollfd> waited;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const Line& line : lines_) waited.push_back({line.has_left ? -1 : line.socket.descriptor(), POLLIN, 0});
    }
    poll(waited.data(), waited.size(), 100);
    const auto now = Clock::now();
    const std::lock_guard<std::mutex> lock(mutex_);
    // A process that was stopped itself has heard nobody.
    const bool was_stopped = now - before > std::chrono::duration<double>(kBeat);
    before = now;
    for (Line& line : lines_) {
      if (line.has_left) continue;
      if (was_stopped) line.heard = now;
      hear(line);
      if (now >= next_beat) say(line, 'h', place.rank);
      if (!line.has_left && now - line.heard > std::chrono::duration<double>(place.silence)) {
        fail(line.rank, "was lost: nothing was heard of it for " + std::to_string(static_cast<int>(place.silence)) + " s");
      }
    }
    if (now >= next_beat) next_beat = now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kBeat));
  }
}

void ProcessGroup::hear(Line& line) {
  char buffer[4096];
  long received;
  while ((received = line.socket.receive_some(buffer, sizeof buffer)) > 0) {
    line.unread.append(buffer, static_cast<size_t>(received));
    line.heard = Clock::now();
  }
  Frame frame;
  while (line.unread.size() >= sizeof frame) {
    std::memcpy(&frame, line.unread.data(), sizeof frame);
    if (frame.length > kWords) return fail(line.rank, "was lost: it does not speak as the others do");
    if (line.unread.size() < sizeof frame + frame.length) break;
    const std::string words = line.unread.substr(sizeof frame, frame.length);
    line.unread.erase(0, sizeof frame + frame.length);
    if (frame.kind == 'b') line.has_left = true;
    if (frame.kind == 'x') return fail(frame.rank, words);
  }
  if (received < 0 && !line.has_left) fail(line.rank, "was lost: its process ended");
}

// What does not get through at once is lost with the line.
void ProcessGroup::say(Line& line, char kind, int rank, const std::string& words) {
  Frame frame{};
  frame.kind = kind;
  frame.rank = rank;
  frame.length = static_cast<uint32_t>(std::min(words.size(), kWords));
  std::string bytes(reinterpret_cast<const char*>(&frame), sizeof frame);
  bytes.append(words, 0, frame.length);
  static_cast<void>(line.socket.send_some(bytes.data(), bytes.size()));
}

// With the lock held. The first to be gone is the one that all are told of.
void ProcessGroup::fail(int rank, const std::string& words) {
  if (has_failed_) return;
  failure_ = name_of(rank, place.size) + " " + words;
  for (Line& line : lines_) {
    if (line.rank != rank && !line.has_left && place.rank == 0) say(line, 'x', rank, words);
  }
  has_failed_ = true;
}

void ProcessGroup::throw_lost(const std::string& otherwise) {
  for (const auto deadline = seconds_from_now(kNaming); !has_failed_ && Clock::now() < deadline;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  throw std::runtime_error(has_failed_ ? failure_ : otherwise);
}

void ProcessGroup::exchange(const void* out, size_t out_bytes, void* in, size_t in_bytes,
                            const std::function<void(size_t)>& received) {
  if (gives_up_) throw std::runtime_error("an exchange was given up before, and the others wait for its rest");
  auto deadline = seconds_from_now(place.timeout);
  for (size_t sent = 0, got = 0; sent < out_bytes || got < in_bytes;) {
    const size_t before = sent + got;
    if (sent < out_bytes) {
      const long count = to_next_.send_some(static_cast<const char*>(out) + sent, out_bytes - sent);
      if (count < 0) throw_lost(name_of(next(), place.size) + " has left");
      sent += static_cast<size_t>(count);
    }
    if (got < in_bytes) {
      const long count = from_previous_.receive_some(static_cast<char*>(in) + got, in_bytes - got);
      if (count < 0) throw_lost(name_of(previous(), place.size) + " has left");
      got += static_cast<size_t>(count);
      if (count > 0 && received) received(got);
    }
    if (sent + got > before) {
      deadline = seconds_from_now(place.timeout);
      continue;
    }
    if (has_failed_) throw_lost("");
    if (gives_up_) throw std::runtime_error("the exchange was given up");
    pollfd waited[2] = {{to_next_.descriptor(), static_cast<short>(sent < out_bytes ? POLLOUT : 0), 0},
                        {from_previous_.descriptor(), static_cast<short>(got < in_bytes ? POLLIN : 0), 0}};
    if (sent == out_bytes) waited[0].fd = -1;
    if (got == in_bytes) waited[1].fd = -1;
    poll(waited, 2, 100);
    if (Clock::now() > deadline) {
      const int rank = got < in_bytes ? previous() : next();
      throw std::runtime_error(name_of(place.rank, place.size) + " waited " + std::to_string(static_cast<int>(place.timeout)) +
                               " s for rank " + std::to_string(rank) + ", which lives and does not come");
    }
  }
}

std::vector<char> ProcessGroup::gather(const void* own, size_t bytes) {
  std::vector<char> all(bytes * static_cast<size_t>(place.size));
  std::memcpy(all.data() + bytes * static_cast<size_t>(place.rank), own, bytes);
  for (int step = 0, at = place.rank; step + 1 < place.size; ++step) {
    const int before = (at + place.size - 1) % place.size;
    exchange(all.data() + bytes * static_cast<size_t>(at), bytes, all.data() + bytes * static_cast<size_t>(before), bytes);
    at = before;
  }
  return all;
}

void ProcessGroup::leave(const std::string& reason) {
  ends_ = true;
  if (watcher_.joinable()) watcher_.join();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Line& line : lines_) {
    if (!reason.empty() && !has_failed_) say(line, 'x', place.rank, "ended: " + reason);
    say(line, 'b', place.rank);
    line.socket.close();
  }
  lines_.clear();
  to_next_.close();
  from_previous_.close();
}

}  // namespace conquer
