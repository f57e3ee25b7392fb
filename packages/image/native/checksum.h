// A checksum against damage on the disk, at the speed of memory. Not against forgery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace conquer {

inline uint64_t rotate(uint64_t value) { return value << 31 | value >> 33; }

inline uint32_t checksum(const uint8_t* bytes, size_t length) {
  // Four lanes, as one multiplication has to wait for the one before.
  constexpr uint64_t prime = 0x9E3779B97F4A7C15;
  uint64_t lanes[4] = {1, 2, 3, length};
  size_t at = 0;
  for (; at + 32 <= length; at += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes + at, 32);
    for (int lane = 0; lane < 4; lane++) lanes[lane] = rotate((lanes[lane] ^ words[lane]) * prime);
  }
  for (; at < length; at++) lanes[at % 4] = (lanes[at % 4] ^ bytes[at]) * prime;
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) {
    sum = (sum ^ lane ^ (lane >> 32)) * prime;
    sum ^= sum >> 31;
  }
  return static_cast<uint32_t>(sum ^ (sum >> 32));
}

}  // namespace conquer
