# SPDX-License-Identifier: GPL-2.0
"""A dma-buf, as Python sees it, and TAP: for the programs beside this one."""
import fcntl
import mmap
import os
import random
import struct
import sys

# linux/dma-heap.h, linux/dma-buf.h
HEAP_ALLOC = 0xC0184800
SYNC = 0x40086200
READ, WRITE, END = 1, 2, 4
NOCOPY = 0x10


def pattern(seed, size):
    return random.Random(seed).randbytes(size)


class Buffer:
    """Memory of the system heap."""

    def __init__(self, size):
        heap = os.open("/dev/dma_heap/system", os.O_RDONLY)
        ask = struct.pack("QIIQ", size, 0, os.O_RDWR | os.O_CLOEXEC, 0)
        self.fd = struct.unpack("QIIQ", fcntl.ioctl(heap, HEAP_ALLOC, ask))[1]
        os.close(heap)
        self.map = mmap.mmap(self.fd, size)

    def get(self, pos, size):
        fcntl.ioctl(self.fd, SYNC, struct.pack("Q", READ))
        data = self.map[pos : pos + size]
        fcntl.ioctl(self.fd, SYNC, struct.pack("Q", READ | END))
        return data

    def put(self, pos, data):
        fcntl.ioctl(self.fd, SYNC, struct.pack("Q", WRITE))
        self.map[pos : pos + len(data)] = data
        fcntl.ioctl(self.fd, SYNC, struct.pack("Q", WRITE | END))

    def count(self, key):
        with open(f"/proc/self/fdinfo/{self.fd}", encoding="ascii") as info:
            return int(next(line for line in info if line.startswith(key + ":")).split()[1])

    def close(self):
        self.map.close()
        os.close(self.fd)


def everything(call, size):
    """CALL takes what is done, and says how much came; to the end of SIZE."""
    done = 0
    while done < size:
        n = call(done)
        if not n:
            raise EOFError(f"the end after {done} of {size} bytes")
        done += n


class Tap:
    """KTAP, printed when its plan is known, and why not on stderr."""

    def __init__(self):
        self.lines = []
        self.bad = 0

    def run(self, name, function, *args):
        state = "ok"
        try:
            function(*args)
        except Exception as error:  # whatever it is, the test has failed
            state = "not ok"
            self.bad += 1
            print(f"# {name}: {type(error).__name__}: {error}", file=sys.stderr)
        self.lines.append(f"{state} {len(self.lines) + 1} {name}")

    def end(self):
        print("TAP version 13", f"1..{len(self.lines)}", *self.lines, sep="\n", flush=True)
        sys.exit(self.bad != 0)
