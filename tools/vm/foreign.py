#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Python's own calls for moving data, inside the guest: between files, sockets and
pipes ("files"), or with a dma-buf ("dmabuf"). Prints TAP.

usage: foreign.py files|dmabuf DIRECTORY...
"""
import errno
import hashlib
import os
import shutil
import socket
import sys
import threading

from dmabuf import NOCOPY, Buffer, Tap, everything, pattern

SIZE = (3 << 20) + 777
OTHER = os.path.realpath("/run/lab/tmp")


def sha(data):
    return hashlib.sha256(data).hexdigest()


def same(got, want):
    if sha(got) != sha(want):
        raise AssertionError(f"{len(got)} bytes differ from {len(want)} that were expected")


def make(name, data):
    with open(name, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.chmod(name, 0o644)


def read(name):
    with open(name, "rb") as f:
        return f.read()


# ---- between files ----


def copy(call, src, dst, size):
    """Through CALL(from, to, position, length), both files new descriptors."""
    i = os.open(src, os.O_RDONLY)
    o = os.open(dst, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        everything(lambda done: call(i, o, done, size - done), size)
    finally:
        os.close(i)
        os.close(o)


def by_copy_file_range(i, o, done, n):
    return os.copy_file_range(i, o, n, done, done)


def by_sendfile(i, o, done, n):
    return os.sendfile(o, i, done, n)


def by_splice(i, o, done, n):
    r, w = os.pipe()
    try:
        n = os.splice(i, w, n, offset_src=done)
        left = n
        while left:
            left -= os.splice(r, o, left, offset_dst=done + n - left)
        return n
    finally:
        os.close(r)
        os.close(w)


def copied(call, src, dst):
    copy(call, src, dst, SIZE)
    same(read(dst), read(src))
    os.unlink(dst)


def part(src, dst):
    """The middle of a file into the middle of another."""
    make(dst, pattern(2, SIZE))
    i, o = os.open(src, os.O_RDONLY), os.open(dst, os.O_RDWR)
    want = bytearray(pattern(2, SIZE))
    want[5001:105001] = pattern(1, SIZE)[70003:170003]
    everything(lambda done: os.copy_file_range(i, o, 100000 - done, 70003 + done, 5001 + done), 100000)
    os.close(i)
    os.close(o)
    same(read(dst), bytes(want))
    os.unlink(dst)


def through_socket(src, move):
    a, b = socket.socketpair()
    got = []

    def drain():
        while block := b.recv(1 << 16):
            got.append(block)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        move(src, a)
    finally:
        a.close()
        thread.join()
        b.close()
    same(b"".join(got), read(src))


def socket_sendfile(src, sock):
    with open(src, "rb") as f:
        sock.sendfile(f)


def socket_splice(src, sock):
    i = os.open(src, os.O_RDONLY)
    r, w = os.pipe()
    left = SIZE
    while left:
        n = os.splice(i, w, left)
        left -= n
        while n:
            n -= os.splice(r, sock.fileno(), n)
    for fd in (i, r, w):
        os.close(fd)


def refused(number, call, *args, **more):
    try:
        result = call(*args, **more)
    except OSError as error:
        if error.errno == number:
            return
        raise
    raise AssertionError(f"{errno.errorcode[number]} was expected, not {result}")


def no_pipe(src, dst):
    """What splice(2) has always refused."""
    make(dst, b"old")
    i, o = os.open(src, os.O_RDONLY), os.open(dst, os.O_RDWR)
    refused(errno.EINVAL, os.splice, i, o, 4096)
    refused(errno.EINVAL, os.splice, i, o, 4096, offset_src=0, offset_dst=0)
    os.close(i)
    os.close(o)
    same(read(dst), b"old")
    os.unlink(dst)


def other_kind(src, dst):
    """copy_file_range(2) stays within one kind of file system."""
    refused(errno.EXDEV, copy, by_copy_file_range, src, dst, SIZE)
    os.unlink(dst)


def appending(src, dst):
    make(dst, b"old")
    i, o = os.open(src, os.O_RDONLY), os.open(dst, os.O_RDWR | os.O_APPEND)
    refused(errno.EBADF, os.copy_file_range, i, o, 4096)
    refused(errno.EINVAL, os.sendfile, o, i, 0, 4096)
    os.close(i)
    os.close(o)
    os.unlink(dst)


def overlapping(src):
    i = os.open(src, os.O_RDWR)
    refused(errno.EINVAL, os.copy_file_range, i, i, 8192, 0, 4096)
    os.close(i)


def files(tap, where):
    src, dst = where + "/foreign.src", where + "/foreign.dst"
    make(src, pattern(1, SIZE))
    calls = (by_copy_file_range, by_sendfile, by_splice)
    for call in calls:
        tap.run(f"python {where} {call.__name__}", copied, call, src, dst)
    for call in calls[1:]:
        tap.run(f"python {where} {call.__name__} to tmpfs", copied, call, src, OTHER + "/foreign.dst")
    tap.run(f"python {where} copy_file_range to tmpfs", other_kind, src, OTHER + "/foreign.dst")
    tap.run(f"python {where} a part", part, src, dst)
    tap.run(f"python {where} shutil", lambda: (shutil.copyfile(src, dst), same(read(dst), read(src))))
    tap.run(f"python {where} socket, sendfile", through_socket, src, socket_sendfile)
    tap.run(f"python {where} socket, splice", through_socket, src, socket_splice)
    tap.run(f"python {where} splice without a pipe", no_pipe, src, dst)
    tap.run(f"python {where} O_APPEND", appending, src, dst)
    tap.run(f"python {where} a range onto itself", overlapping, src)
    os.unlink(src)


# ---- with a dma-buf ----


def dma_splice(i, o, done, n):
    return os.splice(i, o, n, offset_src=done, offset_dst=done)


def dma_sendfile(i, o, done, n):
    return os.sendfile(o, i, done, n)


def load(src, flags, call):
    """A file into a buffer, which keeps what is behind."""
    room = (SIZE | 4095) + 1 + 65536
    buf = Buffer(room)
    buf.put(0, pattern(3, room))
    i = os.open(src, os.O_RDONLY | flags)
    everything(lambda done: call(i, buf.fd, done, SIZE - done), SIZE)
    same(buf.get(0, SIZE), read(src))
    same(buf.get(SIZE | 4095, 65536), pattern(3, room)[SIZE | 4095 : (SIZE | 4095) + 65536])
    os.close(i)
    moved = buf.count("dio_read_bytes"), buf.count("copy_read_bytes")
    if sum(moved) != SIZE or (moved[0] > 0) != (flags & os.O_DIRECT > 0):
        raise AssertionError(f"{moved} bytes by DMA and copied")
    buf.close()


def save(dst, flags, call):
    """A part of a buffer into a file."""
    size = SIZE | 4095
    data = pattern(4, size)
    buf = Buffer(size + 1)
    buf.put(0, data)
    # From its beginning on, as sendfile(2) has no offset for the file.
    o = os.open(dst, os.O_RDWR | os.O_CREAT | os.O_TRUNC | flags, 0o644)
    everything(lambda done: call(buf.fd, o, done, size - done), size)
    os.close(o)
    same(read(dst), data)
    moved = buf.count("dio_write_bytes"), buf.count("copy_write_bytes")
    if sum(moved) != size or (moved[0] > 0) != (flags & os.O_DIRECT > 0):
        raise AssertionError(f"{moved} bytes by DMA and copied")
    buf.close()
    os.unlink(dst)


def to_pipe_and_back(src):
    """As for any file that is mapped by a pipe."""
    buf = Buffer(65536)
    i = os.open(src, os.O_RDONLY)
    r, w = os.pipe()
    everything(lambda done: os.splice(i, buf.fd, 65536 - done, offset_src=done, offset_dst=done), 65536)
    n = os.splice(buf.fd, w, 4096, offset_src=8192)
    same(os.read(r, n), read(src)[8192 : 8192 + n])
    os.write(w, b"x" * 4096)
    if os.splice(r, buf.fd, 4096, offset_dst=100) != 4096:
        raise AssertionError("not all of the pipe")
    same(buf.get(0, 8192), read(src)[:100] + b"x" * 4096 + read(src)[4196:8192])
    for fd in (i, r, w):
        os.close(fd)
    buf.close()


def two(src):
    a, b = Buffer(65536), Buffer(65536)
    refused(errno.EINVAL, os.splice, a.fd, b.fd, 4096, offset_src=0, offset_dst=0)
    refused(errno.EINVAL, os.copy_file_range, a.fd, b.fd, 4096, 0, 0)
    a.close()
    b.close()


def no_copy(src):
    buf = Buffer(65536)
    i = os.open(src, os.O_RDONLY)
    flags = {"offset_src": 0, "offset_dst": 0, "flags": NOCOPY}
    refused(errno.EOPNOTSUPP, os.splice, i, buf.fd, 4096, **flags)
    os.close(i)
    i = os.open(src, os.O_RDONLY | os.O_DIRECT)
    refused(errno.EINVAL, os.splice, i, buf.fd, 100, **flags)
    if os.splice(i, buf.fd, 4096, **flags) != 4096:
        raise AssertionError("too short")
    os.close(i)
    buf.close()


def to_socket(src):
    """A dma-buf, filled from a file, to a socket by sendfile(2)."""
    buf = Buffer(1 << 20)
    buf.put(0, pattern(1, SIZE)[: 1 << 20])
    a, b = socket.socketpair()
    got = bytearray()
    done = 0
    while done < 1 << 20:
        n = os.sendfile(a.fileno(), buf.fd, done, 32768)
        done += n
        while n:
            block = b.recv(n)
            got += block
            n -= len(block)
    same(bytes(got), read(src)[: 1 << 20])
    a.close()
    b.close()
    buf.close()


def dmabuf(tap, where):
    src, dst = where + "/foreign.src", where + "/foreign.dst"
    make(src, pattern(1, SIZE))
    for call in (dma_splice, by_copy_file_range, dma_sendfile):
        for name, flags in (("direct", os.O_DIRECT), ("buffered", 0)):
            how = f"{call.__name__.replace('dma_', '').replace('by_', '')}, {name}"
            tap.run(f"dmabuf {where} load by {how}", load, src, flags, call)
            tap.run(f"dmabuf {where} save by {how}", save, dst, flags, call)
    tap.run(f"dmabuf {where} to a pipe and back", to_pipe_and_back, src)
    tap.run(f"dmabuf {where} no copy", no_copy, src)
    tap.run(f"dmabuf {where} to a socket", to_socket, src)
    tap.run(f"dmabuf {where} two of them", two, src)
    os.unlink(src)


def main():
    tap = Tap()
    for where in sys.argv[2:]:
        {"files": files, "dmabuf": dmabuf}[sys.argv[1]](tap, where)
    tap.end()


main()
