#include "sockets.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0  // macOS; Node.js ignores SIGPIPE
#endif

namespace conquer {
namespace {

constexpr double kTurn = 0.25;  // seconds

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1 << 30));
}

// Whether it is ready before `deadline`.
bool wait_for(int descriptor, short events, Clock::time_point deadline) {
  pollfd waited{descriptor, events, 0};
  for (;;) {
    const int ready = poll(&waited, 1, milliseconds_until(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) throw std::runtime_error(std::string("poll: ") + std::strerror(errno));
  }
}

// The same with turns meanwhile.
bool wait_for(int descriptor, short events, Clock::time_point deadline, const Turn& turn) {
  while (!wait_for(descriptor, events, std::min(deadline, seconds_from_now(kTurn)))) {
    if (Clock::now() >= deadline) return false;
    turn();
  }
  return true;
}

void set_option(int descriptor, int level, int name) {
  const int on = 1;
  // Without these it works all the same, only not as fast, or not at the same port at once.
  static_cast<void>(setsockopt(descriptor, level, name, &on, sizeof on));
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const char* host, int port, int family, int flags) {
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) throw std::runtime_error(gai_strerror(failed));
  return {found, &freeaddrinfo};
}

// One attempt. @returns what went wrong, or nothing
std::string connect_once(Socket& socket, const addrinfo& to, Clock::time_point deadline, const Turn& turn) {
  socket = Socket(::socket(to.ai_family, to.ai_socktype, to.ai_protocol));
  if (!socket.is_open()) return std::strerror(errno);
  if (connect(socket.descriptor(), to.ai_addr, to.ai_addrlen) == 0) return "";
  if (errno != EINPROGRESS) return std::strerror(errno);
  // A machine that does not answer at all is asked again, too: it may still be starting.
  if (!wait_for(socket.descriptor(), POLLOUT, std::min(deadline, seconds_from_now(5)), turn)) return "no answer";
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? "" : std::strerror(error);
}

}  // namespace

Socket::Socket(int descriptor) : descriptor_(descriptor) {
  if (descriptor < 0) return;
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void Socket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

long Socket::send_some(const void* data, size_t bytes) {
  const ssize_t sent = send(descriptor_, data, bytes, MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<long>(sent);
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

long Socket::receive_some(void* data, size_t bytes) {
  const ssize_t received = recv(descriptor_, data, bytes, 0);
  if (received > 0) return static_cast<long>(received);
  if (received == 0) return -1;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

void Socket::send_all(const void* data, size_t bytes, Clock::time_point deadline) {
  for (size_t done = 0; done < bytes;) {
    const long sent = send_some(static_cast<const char*>(data) + done, bytes - done);
    if (sent < 0) throw std::runtime_error("the connection was closed");
    done += static_cast<size_t>(sent);
    if (sent == 0 && !wait_for(descriptor_, POLLOUT, deadline)) throw std::runtime_error("no answer in time");
  }
}

void Socket::receive_all(void* data, size_t bytes, Clock::time_point deadline) {
  for (size_t done = 0; done < bytes;) {
    const long received = receive_some(static_cast<char*>(data) + done, bytes - done);
    if (received < 0) throw std::runtime_error("the connection was closed");
    done += static_cast<size_t>(received);
    if (received == 0 && !wait_for(descriptor_, POLLIN, deadline)) throw std::runtime_error("no answer in time");
  }
}

std::string Socket::peer_address() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char digits[NI_MAXHOST];
  const auto generic = reinterpret_cast<sockaddr*>(&address);
  if (getpeername(descriptor_, generic, &length) != 0 ||
      getnameinfo(generic, length, digits, sizeof digits, nullptr, 0, NI_NUMERICHOST) != 0) {
    throw std::runtime_error("the address of a process cannot be read");
  }
  return digits;
}

Socket listen_on(int port, const std::string& host) {
  std::string reason = "no address";
  const bool only_here = host == "localhost" || host.rfind("127.", 0) == 0;
  // Of both kinds where the machine has IPv6, and a socket of that kind takes both.
  for (const int family : {AF_INET6, AF_INET}) {
    if (only_here && family == AF_INET6) continue;
    const Addresses addresses = resolve(only_here ? "127.0.0.1" : nullptr, port, family, AI_PASSIVE);
    Socket socket(::socket(family, SOCK_STREAM, 0));
    if (!socket.is_open()) continue;
    set_option(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR);
    const int off = 0;
    if (family == AF_INET6) setsockopt(socket.descriptor(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(socket.descriptor(), addresses->ai_addr, addresses->ai_addrlen) == 0 && listen(socket.descriptor(), 128) == 0) {
      return socket;
    }
    reason = std::strerror(errno);
  }
  throw std::runtime_error("cannot listen on port " + std::to_string(port) + ": " + reason);
}

int port_of(const Socket& listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(listener.descriptor(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error(std::string("getsockname: ") + std::strerror(errno));
  }
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

Socket accept_from(const Socket& listener, Clock::time_point deadline, const Turn& turn) {
  while (wait_for(listener.descriptor(), POLLIN, deadline, turn)) {
    Socket socket(accept(listener.descriptor(), nullptr, nullptr));
    if (socket.is_open()) return socket;
  }
  return Socket();
}

Socket connect_to(const std::string& host, int port, Clock::time_point deadline, const Turn& turn) {
  std::string reason = "no time";
  auto next_turn = seconds_from_now(kTurn);
  while (Clock::now() < deadline) {
    Addresses addresses(nullptr, &freeaddrinfo);
    try {
      addresses = resolve(host.c_str(), port, AF_UNSPEC, 0);
    } catch (const std::exception& error) {
      reason = error.what();  // names of machines that are being started are not known at once
    }
    for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
      Socket socket;
      reason = connect_once(socket, *to, deadline, turn);
      if (reason.empty()) return socket;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (Clock::now() < next_turn) continue;
    turn();
    next_turn = seconds_from_now(kTurn);
  }
  throw std::runtime_error("nobody answers at " + host + ":" + std::to_string(port) + ": " + reason);
}

void wait_to_receive(const Socket& socket, Clock::time_point deadline, const Turn& turn) {
  static_cast<void>(wait_for(socket.descriptor(), POLLIN, deadline, turn));
}

bool is_loopback(const std::string& address) {
  return address == "::1" || address.rfind("127.", 0) == 0 || address.rfind("::ffff:127.", 0) == 0;
}

}  // namespace conquer
