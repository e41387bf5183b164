"""The work of a proof on the machine's processors: see contracts/src/proof-protocol.ts for the lines on stdin and stdout,
and the control plane's core/verification/work.ts for what is computed. Usage: prove.py CPUS

One process a processor, each with its share of the matrices in memory that all of them see. Products are made in floats
of 32 bits, which hold every sum exactly as long as rowLength * products <= 4096.
"""

import base64
import hashlib
import json
import mmap
import os
import struct
import sys

# Each process has one processor: BLAS would start as many threads as there are, in each of them.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

ARITY = 4
DIGEST_BYTES = 32
LONGEST_SUM = 4096


def philox(counter, key):
    """Philox4x32-10 over arrays of counters (numbers of 64 bits that hold 32). Returns four arrays."""
    a, b, c, d = (np.asarray(word, dtype=np.uint64) for word in counter)
    x, y = (int(word) for word in key)
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for _ in range(10):
        first = a * np.uint64(0xD2511F53)
        second = c * np.uint64(0xCD9E8D57)
        a, b, c, d = (
            (second >> half) ^ b ^ np.uint64(x),
            second & low,
            (first >> half) ^ d ^ np.uint64(y),
            first & low,
        )
        x = (x + 0x9E3779B9) & 0xFFFFFFFF
        y = (y + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def words_of(key):
    return struct.unpack("<4I", bytes.fromhex(key)[:16])


def first_matrix(words, n, block):
    rows = np.arange(block * n, (block + 1) * n, dtype=np.uint64)[:, None]
    places = np.arange(n // 16, dtype=np.uint64)[None, :]
    places, rows = np.broadcast_arrays(places, rows)
    drawn = philox((places, rows, np.uint64(words[2]), np.uint64(words[3])), words[:2])
    values = np.stack(drawn, axis=-1).astype("<u4").view(np.uint8).reshape(n, n)
    return ((values & 127).astype(np.int16) - 64).astype(np.int8)


def recipe(words, blocks, products, block):
    """The parents of a matrix, and its constant."""
    turns = np.arange(products, dtype=np.uint64)
    drawn = philox((np.uint64(block), turns, np.uint64(words[2]), np.uint64(words[3])), words[:2])
    left, right = ((word * np.uint64(blocks)) >> np.uint64(32) for word in drawn[:2])
    return left.astype(np.int64), right.astype(np.int64), int(drawn[2][0])


def next_matrix(before, words, blocks, products, block):
    left, right, constant = recipe(words, blocks, products, block)
    # The sum of all products is one product of the matrices laid side by side.
    ours = np.concatenate([before[parent] for parent in left], axis=1).astype(np.float32)
    theirs = np.concatenate([before[parent] for parent in right], axis=1).astype(np.float32)
    sums = (ours @ theirs.T).astype(np.int32).view(np.uint32)
    squashed = ((sums + np.uint32(constant)) * np.uint32(0x9E3779B1)) >> np.uint32(25)
    return (squashed.astype(np.int16) - 64).astype(np.int8)


def levels_above(level):
    """Of a Merkle tree, the given level first."""
    levels = [level]
    while len(level) > 1:
        level = [
            hashlib.sha256(b"\x01" + b"".join(level[at : at + ARITY])).digest() for at in range(0, len(level), ARITY)
        ]
        levels.append(level)
    return levels


def levels_of(matrix):
    return levels_above([hashlib.sha256(b"\x00" + row.tobytes()).digest() for row in matrix])


def siblings(levels, at):
    found = []
    for level in levels[:-1]:
        first = at - at % ARITY
        found += [digest for place, digest in enumerate(level[first : first + ARITY], first) if place != at]
        at //= ARITY
    return b"".join(found)


class Work:
    def __init__(self, size, cpus):
        self.n, self.blocks, self.products = size["rowLength"], size["blocks"], size["products"]
        if self.n * self.products > LONGEST_SUM:
            raise ValueError(f"rowLength * products must be at most {LONGEST_SUM} for exact sums")
        bytes_each = self.blocks * self.n * self.n
        self.layers = [
            np.frombuffer(mmap.mmap(-1, bytes_each), dtype=np.int8).reshape(self.blocks, self.n, self.n)
            for _ in range(2)
        ]
        self.roots = [[], []]
        self.workers = [self.fork(share, min(cpus, self.blocks)) for share in range(min(cpus, self.blocks))]

    def fork(self, share, shares):
        """A process for every `shares`-th part of the matrices. Returns the ends of its pipes."""
        orders, results = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(orders[1])
            os.close(results[0])
            code = 1
            try:
                self.serve(share, shares, os.fdopen(orders[0], "rb"), os.fdopen(results[1], "wb"))
                code = 0
            finally:
                os._exit(code)
        os.close(orders[0])
        os.close(results[1])
        return os.fdopen(orders[1], "wb"), os.fdopen(results[0], "rb")

    def range_of(self, share, shares):
        return range(self.blocks * share // shares, self.blocks * (share + 1) // shares)

    def serve(self, share, shares, orders, results):
        mine = self.range_of(share, shares)
        # The write ends of earlier workers' pipes came along with the fork; ours closes only when all of them have.
        for line in orders:
            number, key = line.split()
            layer, before, words = self.layers[int(number) % 2], self.layers[1 - int(number) % 2], words_of(key.decode())
            for block in mine:
                if int(number) == 0:
                    layer[block] = first_matrix(words, self.n, block)
                else:
                    layer[block] = next_matrix(before, words, self.blocks, self.products, block)
                results.write(levels_of(layer[block])[-1][0])
            results.flush()

    def run(self, number, key):
        for orders, _ in self.workers:
            orders.write(f"{number} {key}\n".encode())
            orders.flush()
        roots = []
        for share, (_, results) in enumerate(self.workers):
            wanted = DIGEST_BYTES * len(self.range_of(share, len(self.workers)))
            digests = results.read(wanted)
            if len(digests) != wanted:
                raise RuntimeError("a worker process ended early: is there memory for the work?")
            roots += [digests[at : at + DIGEST_BYTES] for at in range(0, wanted, DIGEST_BYTES)]
        self.roots[number % 2] = roots
        return levels_above(roots)[-1][0]

    def open(self, number, rows):
        trees, tops = {}, {}
        for which, row in rows:
            layer = (number + which) % 2
            matrix = self.layers[layer][row // self.n]
            if (layer, row // self.n) not in trees:
                trees[layer, row // self.n] = levels_of(matrix)
            if layer not in tops:
                tops[layer] = levels_above(self.roots[layer])
            within = siblings(trees[layer, row // self.n], row % self.n)
            path = within + siblings(tops[layer], row // self.n)
            yield {
                "row": base64.b64encode(matrix[row % self.n].tobytes()).decode(),
                "path": base64.b64encode(path).decode(),
            }


def say(**answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main():
    work, number = None, 0
    for line in sys.stdin:
        request = json.loads(line)
        if request["type"] == "begin":
            work = Work(request["work"], int(sys.argv[1]))
            say(type="ready")
        elif work is None:
            raise ValueError("nothing has begun")
        elif request["type"] == "pass":
            number = request["pass"]
            say(type="root", **{"pass": number, "root": work.run(number, request["key"]).hex()})
        elif request["type"] == "open":
            say(type="opened", openings=list(work.open(number, request["rows"])))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # said to whoever asked; there is nobody else
        say(type="fault", message=f"{type(error).__name__}: {error}"[:1000])
        sys.exit(1)
