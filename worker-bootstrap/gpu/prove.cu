// The work of a proof on an accelerator, for CUDA and HIP: see contracts/src/proof-protocol.ts for the lines on stdin and
// stdout, and the control plane's core/verification/work.ts for what is computed. The device is the first that is visible
// (CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES).
//
// All arithmetic is of whole numbers: products by the vendor's BLAS, 8 bits in and 32 bits out, the rest here.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <memory>

#include "device.h"
#include "protocol.h"
#include "sha256.h"

namespace {

constexpr int arity = 4;
// Matrices whose sums are held at a time: 512 MiB of them at 1,024 rows.
constexpr size_t batchBlocks = 128;

struct Words {
  uint32_t at[4];
};

EITHER Words philox(Words counter, uint32_t x, uint32_t y) {
  uint32_t a = counter.at[0], b = counter.at[1], c = counter.at[2], d = counter.at[3];
  for (int round = 0; round < 10; round += 1) {
    uint64_t first = uint64_t(0xD2511F53) * a, second = uint64_t(0xCD9E8D57) * c;
    a = uint32_t(second >> 32) ^ b ^ x;
    b = uint32_t(second);
    c = uint32_t(first >> 32) ^ d ^ y;
    d = uint32_t(first);
    x += 0x9E3779B9;
    y += 0xBB67AE85;
  }
  return {{a, b, c, d}};
}

// One thread for 16 numbers of layer 0.
__global__ void fill(int8_t *layer, size_t groups, uint32_t n, Words key) {
  size_t at = threadIndex();
  if (at >= groups) return;
  uint32_t perRow = n / 16;
  Words drawn = philox({{uint32_t(at % perRow), uint32_t(at / perRow), key.at[2], key.at[3]}}, key.at[0], key.at[1]);
  for (int byte = 0; byte < 16; byte += 1)
    layer[at * 16 + byte] = int8_t(int(drawn.at[byte / 4] >> (8 * (byte % 4)) & 127) - 64);
}

// One thread for a pair of parents: where they are, where their product goes, and the constant of their matrix.
__global__ void draw(const int8_t *before, int32_t *sums, const void **left, const void **right, void **to, uint32_t *constants,
                     size_t first, size_t count, uint32_t blocks, uint32_t products, size_t matrix, Words key) {
  size_t at = threadIndex();
  if (at >= count * products) return;
  size_t product = at / count, block = at % count;
  Words drawn = philox({{uint32_t(first + block), uint32_t(product), key.at[2], key.at[3]}}, key.at[0], key.at[1]);
  left[at] = before + matrix * (uint64_t(drawn.at[0]) * blocks >> 32);
  right[at] = before + matrix * (uint64_t(drawn.at[1]) * blocks >> 32);
  if (product == 0) {
    to[block] = sums + matrix * block;
    constants[block] = drawn.at[2];
  }
}

__global__ void squash(const int32_t *sums, const uint32_t *constants, int8_t *to, size_t numbers, size_t matrix) {
  size_t at = threadIndex();
  if (at >= numbers) return;
  to[at] = int8_t(int((uint32_t(sums[at]) + constants[at / matrix]) * 0x9E3779B1u >> 25) - 64);
}

__global__ void hashRows(const int8_t *rows, size_t count, uint32_t n, uint8_t *digests) {
  size_t at = threadIndex();
  if (at >= count) return;
  toBytes(sha256(0, reinterpret_cast<const uint8_t *>(rows) + at * n, n), digests + 32 * at);
}

__global__ void hashNodes(const uint8_t *children, size_t count, uint8_t *digests) {
  size_t at = threadIndex();
  if (at >= count) return;
  toBytes(sha256(1, children + 32 * arity * at, 32 * arity), digests + 32 * at);
}

using Bytes = std::vector<uint8_t>;

// Of a Merkle tree, the given level first; each digest 32 bytes.
std::vector<Bytes> levelsAbove(Bytes level) {
  std::vector<Bytes> levels{std::move(level)};
  while (levels.back().size() > 32) {
    const Bytes &below = levels.back();
    Bytes above;
    for (size_t at = 0; at < below.size(); at += 32 * arity) {
      uint8_t digest[32];
      toBytes(sha256(1, below.data() + at, uint32_t(std::min<size_t>(32 * arity, below.size() - at))), digest);
      above.insert(above.end(), digest, digest + 32);
    }
    levels.push_back(std::move(above));
  }
  return levels;
}

void addSiblings(Bytes &path, const std::vector<Bytes> &levels, size_t at) {
  for (size_t height = 0; height + 1 < levels.size(); height += 1, at /= arity) {
    size_t first = at - at % arity, width = levels[height].size() / 32;
    for (size_t place = first; place < std::min(first + arity, width); place += 1)
      if (place != at) path.insert(path.end(), &levels[height][32 * place], &levels[height][32 * place] + 32);
  }
}

Words wordsOf(const std::string &key) {
  Words words{};
  for (int at = 0; at < 16; at += 1)
    words.at[at / 4] |= uint32_t(std::stoul(key.substr(2 * at, 2), nullptr, 16)) << (8 * (at % 4));
  return words;
}

class Work {
 public:
  explicit Work(const std::string &line)
      : n_(numberOf(line, "rowLength")), blocks_(numberOf(line, "blocks")), products_(numberOf(line, "products")),
        matrix_(n_ * n_), batch_(std::min<size_t>(batchBlocks, blocks_)) {
    for (auto &layer : layers_) layer = onDevice<int8_t>(blocks_ * matrix_);
    sums_ = onDevice<int32_t>(batch_ * matrix_);
    left_ = onDevice<const void *>(batch_ * products_);
    right_ = onDevice<const void *>(batch_ * products_);
    to_ = onDevice<void *>(batch_);
    constants_ = onDevice<uint32_t>(batch_);
    for (auto &digests : digests_) digests = onDevice<uint8_t>(32 * batch_ * n_);
    checkBlas(blasCreate(&blas_), "BLAS");
  }

  Bytes run(uint64_t pass, Words key) {
    int8_t *layer = layers_[pass % 2];
    Bytes roots(32 * blocks_);
    if (pass == 0) LAUNCH(fill, blocks_ * matrix_ / 16, layer, blocks_ * matrix_ / 16, n_, key);
    for (size_t first = 0; first < blocks_; first += batch_) {
      size_t count = std::min(batch_, blocks_ - first);
      if (pass > 0) multiply(layers_[(pass + 1) % 2], layer, first, count, key);
      digest(layer + first * matrix_, count, roots.data() + 32 * first);
    }
    tops_[pass % 2] = levelsAbove(std::move(roots));
    return tops_[pass % 2].back();
  }

  std::string open(uint64_t pass, const std::vector<std::pair<int, uint64_t>> &rows) {
    std::map<std::pair<int, uint64_t>, std::pair<Bytes, std::vector<Bytes>>> shown;
    std::string text;
    for (auto [which, row] : rows) {
      int layer = int((pass + which) % 2);
      uint64_t block = row / n_, within = row % n_;
      if (block >= blocks_) throw std::runtime_error("there is no such row");
      auto &[numbers, levels] = shown[{layer, block}];
      if (numbers.empty()) {
        numbers.resize(matrix_);
        check(DEVICE(Memcpy)(numbers.data(), layers_[layer] + block * matrix_, matrix_, DEVICE(MemcpyDeviceToHost)), "copy");
        Bytes leaves(32 * n_);
        for (size_t at = 0; at < n_; at += 1) toBytes(sha256(0, &numbers[at * n_], n_), &leaves[32 * at]);
        levels = levelsAbove(std::move(leaves));
      }
      Bytes path;
      addSiblings(path, levels, within);
      addSiblings(path, tops_[layer], block);
      if (!text.empty()) text += ",";
      text += "{\"row\":\"" + base64Of(&numbers[within * n_], n_) + "\",\"path\":\"" + base64Of(path.data(), path.size()) + "\"}";
    }
    return text;
  }

 private:
  // BLAS has columns where we have rows: of our left · rightᵀ it makes the transpose, right · leftᵀ, which lies in memory as
  // ours does.
  void multiply(const int8_t *before, int8_t *layer, size_t first, size_t count, Words key) {
    LAUNCH(draw, count * products_, before, sums_, left_, right_, to_, constants_, first, count, uint32_t(blocks_),
           uint32_t(products_), matrix_, key);
    check(DEVICE(GetLastError)(), "drawing parents");
    const int one = 1;
    for (size_t product = 0; product < products_; product += 1) {
      const int beta = product == 0 ? 0 : 1;
      checkBlas(blasProducts(blas_, int(n_), &one, right_ + product * count, left_ + product * count, &beta, to_, int(count)),
                "a product");
    }
    LAUNCH(squash, count * matrix_, sums_, constants_, layer + first * matrix_, count * matrix_, matrix_);
    check(DEVICE(GetLastError)(), "squashing");
  }

  // The rows of a matrix make a whole subtree: its root is what is kept.
  void digest(const int8_t *rows, size_t count, uint8_t *roots) {
    size_t nodes = count * n_;
    LAUNCH(hashRows, nodes, rows, nodes, n_, digests_[0]);
    int in = 0;
    for (; nodes > count; in = 1 - in) {
      nodes /= arity;
      LAUNCH(hashNodes, nodes, digests_[in], nodes, digests_[1 - in]);
    }
    check(DEVICE(GetLastError)(), "hashing");
    check(DEVICE(Memcpy)(roots, digests_[in], 32 * count, DEVICE(MemcpyDeviceToHost)), "copy");
  }

  uint32_t n_;
  size_t blocks_, products_, matrix_, batch_;
  std::array<int8_t *, 2> layers_{};
  std::array<std::vector<Bytes>, 2> tops_;
  int32_t *sums_;
  const void **left_, **right_;
  void **to_;
  uint32_t *constants_;
  std::array<uint8_t *, 2> digests_{};
  BlasHandle blas_{};
};

void say(const std::string &line) { std::cout << line << std::endl; }

void serve() {
  std::string line;
  uint64_t pass = 0;
  std::unique_ptr<Work> work;
  while (std::getline(std::cin, line)) {
    std::string type = textOf(line, "type");
    if (type == "begin") {
      work = std::make_unique<Work>(line);
      say("{\"type\":\"ready\"}");
    } else if (!work) {
      throw std::runtime_error("nothing has begun");
    } else if (type == "pass") {
      pass = numberOf(line, "pass");
      Bytes root = work->run(pass, wordsOf(textOf(line, "key")));
      say("{\"type\":\"root\",\"pass\":" + std::to_string(pass) + ",\"root\":\"" + hexOf(root) + "\"}");
    } else if (type == "open") {
      say("{\"type\":\"opened\",\"openings\":[" + work->open(pass, rowsOf(line)) + "]}");
    }
  }
}

}  // namespace

int main() {
  try {
    serve();
    return 0;
  } catch (const std::exception &error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '"', '\'');
    std::replace(message.begin(), message.end(), '\\', '/');
    say("{\"type\":\"fault\",\"message\":\"" + message.substr(0, 1000) + "\"}");
    return 1;
  }
}
