// TCP for a group of processes: connections that are waited for until a moment, and closed with their owner.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace conquer {

using Clock = std::chrono::steady_clock;

inline Clock::time_point seconds_from_now(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// Called some times a second by what waits long for others. It ends the waiting by an exception.
using Turn = std::function<void()>;

// An open socket; nothing is written into it later than at once (TCP_NODELAY). Every failure is a std::runtime_error.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor);
  Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();

  // At once as much as there is room for, or is there: bytes; 0 where it would have to wait, -1 where the other side is gone.
  long send_some(const void* data, size_t bytes);
  long receive_some(void* data, size_t bytes);

  // All of it, until `deadline`.
  void send_all(const void* data, size_t bytes, Clock::time_point deadline);
  void receive_all(void* data, size_t bytes, Clock::time_point deadline);

  // The other side's address, in digits.
  std::string peer_address() const;

 private:
  int descriptor_ = -1;
};

// On all addresses of this machine, or for those who know it by `host`, 127.… or localhost, on its own alone. port 0: any that is free.
Socket listen_on(int port, const std::string& host);
int port_of(const Socket& listener);

// The next who connects. Closed: nobody did until `deadline`.
Socket accept_from(const Socket& listener, Clock::time_point deadline, const Turn& turn);

// Tries until somebody listens there. @throws where nobody does until `deadline`, with the last reason
Socket connect_to(const std::string& host, int port, Clock::time_point deadline, const Turn& turn);

// Returns once there is something to be received, the other side is gone, or it is `deadline`.
void wait_to_receive(const Socket& socket, Clock::time_point deadline, const Turn& turn);

bool is_loopback(const std::string& address);

}  // namespace conquer
