// SHA-256 (FIPS 180-4) of short messages, on the host and on the device.
#pragma once

#include <cstdint>

#include "device.h"

#define EITHER __host__ __device__ inline

struct Digest {
  uint32_t words[8];
};

EITHER uint32_t shaConstant(int at) {
  constexpr uint32_t constants[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
      0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
      0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
      0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
      0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
      0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  return constants[at];
}

EITHER uint32_t rotated(uint32_t word, int by) { return (word >> by) | (word << (32 - by)); }

EITHER void compress(Digest &state, uint32_t *schedule) {
  uint32_t a = state.words[0], b = state.words[1], c = state.words[2], d = state.words[3];
  uint32_t e = state.words[4], f = state.words[5], g = state.words[6], h = state.words[7];
  for (int at = 0; at < 64; at += 1) {
    uint32_t word = schedule[at & 15];
    if (at >= 16) {
      uint32_t fifteen = schedule[(at - 15) & 15], two = schedule[(at - 2) & 15];
      word += schedule[(at - 7) & 15] + (rotated(fifteen, 7) ^ rotated(fifteen, 18) ^ (fifteen >> 3)) +
              (rotated(two, 17) ^ rotated(two, 19) ^ (two >> 10));
      schedule[at & 15] = word;
    }
    uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + shaConstant(at) + word;
    uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  state.words[0] += a, state.words[1] += b, state.words[2] += c, state.words[3] += d;
  state.words[4] += e, state.words[5] += f, state.words[6] += g, state.words[7] += h;
}

// Of `prefix` and then `length` bytes.
EITHER Digest sha256(uint8_t prefix, const uint8_t *bytes, uint32_t length) {
  Digest state = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
  uint32_t total = length + 1;
  uint32_t padded = (total + 9 + 63) / 64 * 64;
  uint32_t schedule[16];
  for (uint32_t from = 0; from < padded; from += 64) {
    for (int word = 0; word < 16; word += 1) {
      uint32_t value = 0;
      for (int byte = 0; byte < 4; byte += 1) {
        uint32_t at = from + 4 * word + byte;
        uint32_t one = at == 0 ? prefix : at < total ? bytes[at - 1] : at == total ? 0x80 : 0;
        value = value << 8 | one;
      }
      schedule[word] = value;
    }
    if (from + 64 == padded) schedule[15] = total * 8;
    compress(state, schedule);
  }
  return state;
}

EITHER void toBytes(const Digest &digest, uint8_t *bytes) {
  for (int at = 0; at < 32; at += 1) bytes[at] = uint8_t(digest.words[at / 4] >> (24 - 8 * (at % 4)));
}
