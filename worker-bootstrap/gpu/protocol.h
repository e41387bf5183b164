// The lines of contracts/src/proof-protocol.ts, as far as a program has to read and write them. What comes is from the agent,
// which has checked it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

inline size_t valueOf(const std::string &line, const std::string &name) {
  const std::string quoted = "\"" + name + "\"";
  // A name may be a value, too: `"type": "pass"`.
  for (size_t at = line.find(quoted); at != std::string::npos; at = line.find(quoted, at + 1)) {
    size_t colon = line.find_first_not_of(' ', at + quoted.size());
    if (colon != std::string::npos && line[colon] == ':') return line.find_first_not_of(' ', colon + 1);
  }
  throw std::runtime_error("a request without " + name);
}

inline uint64_t numberOf(const std::string &line, const std::string &name) {
  return std::stoull(line.substr(valueOf(line, name)));
}

inline std::string textOf(const std::string &line, const std::string &name) {
  size_t from = valueOf(line, name) + 1;
  return line.substr(from, line.find('"', from) - from);
}

// [[0,3],[1,70]]
inline std::vector<std::pair<int, uint64_t>> rowsOf(const std::string &line) {
  std::vector<std::pair<int, uint64_t>> rows;
  size_t at = valueOf(line, "rows") + 1;
  for (at = line.find('[', at); at != std::string::npos; at = line.find('[', at)) {
    size_t comma = line.find(',', at);
    rows.emplace_back(std::stoi(line.substr(at + 1)), std::stoull(line.substr(comma + 1)));
    at = comma;
  }
  return rows;
}

inline std::string hexOf(const std::vector<uint8_t> &bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : bytes) text += digits[byte >> 4], text += digits[byte & 15];
  return text;
}

inline std::string base64Of(const uint8_t *bytes, size_t length) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < length; at += 3) {
    size_t left = length - at;
    uint32_t three = bytes[at] << 16 | (left > 1 ? bytes[at + 1] << 8 : 0) | (left > 2 ? bytes[at + 2] : 0);
    text += letters[three >> 18];
    text += letters[three >> 12 & 63];
    text += left > 1 ? letters[three >> 6 & 63] : '=';
    text += left > 2 ? letters[three & 63] : '=';
  }
  return text;
}
