#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What fsync(2) and O_DSYNC have promised is there after a power cut.

QEMU is killed, and what its disks were given survives that, flushed or not. So the
trace of the block layer has to show, too, that all data was written through the
cache of the disk, or flushed from it.

usage: power.py write MARK    from dma-bufs into files, makes MARK, goes on until
                              the machine is gone
       power.py verify        on the next boot; prints TAP
"""
import fcntl
import os
import re
import struct
import subprocess
import sys

from dmabuf import Buffer, Tap, everything, pattern

PLACES = ("DIO_EXT4", "DIO_XFS", "DIO_F2FS")
SIZE = 1 << 20
TAIL = SIZE + 777
TRACE = "/sys/kernel/tracing/instances/power"
FIEMAP = 0xC020660B


def place(where):
    return os.environ[where]


class Case:
    """A file before, what arrives at POS in it, and what it is afterwards."""

    def __init__(self, name, before=0, pos=0, size=SIZE, flags=os.O_DIRECT, prepare=None, sync=os.fsync, call="splice"):
        self.name, self.pos, self.size, self.flags = name, pos, size, flags
        self.before, self.prepare, self.sync, self.call = before, prepare, sync, call

    def unallocated(self):
        return self.prepare == "allocate" or self.before < self.pos

    def old(self):
        return pattern(self.name + " old", self.before)

    def new(self):
        return pattern(self.name + " new", self.size)

    def after(self):
        """Whatever was allocated and not written reads as zeroes."""
        size = max(self.before, self.pos + self.size, 4 * SIZE if self.prepare == "allocate" else 0)
        want = bytearray(size)
        want[: self.before] = self.old()
        want[self.pos : self.pos + self.size] = self.new()
        return bytes(want)


CASES = (
    Case("new"),
    Case("new, an odd length", size=TAIL),
    Case("new, buffered", flags=0),
    Case("over existing data", before=4 * SIZE, pos=SIZE),
    Case("over existing data, odd place", before=4 * SIZE, pos=SIZE + 5, size=TAIL),
    Case("over existing data, fdatasync", before=4 * SIZE, pos=SIZE, sync=os.fdatasync),
    Case("appended", before=SIZE, pos=SIZE, call="copy_file_range"),
    Case("appended, fdatasync", before=SIZE, pos=SIZE, sync=os.fdatasync),
    Case("appended behind a part of a block", before=SIZE + 100, pos=SIZE + 100),
    Case("preallocated", prepare="allocate", pos=SIZE),
    Case("preallocated, fdatasync", prepare="allocate", pos=SIZE, sync=os.fdatasync),
    Case("in a hole", before=65536, pos=SIZE, size=2 * SIZE),
    Case("O_DSYNC, new", flags=os.O_DIRECT | os.O_DSYNC, sync=None),
    Case("O_DSYNC, over existing data", before=4 * SIZE, pos=SIZE, flags=os.O_DIRECT | os.O_DSYNC, sync=None),
    Case("O_DSYNC, preallocated", prepare="allocate", pos=SIZE, flags=os.O_DIRECT | os.O_DSYNC, sync=None),
    Case("O_DSYNC, buffered, appended", before=SIZE, pos=SIZE, size=TAIL, flags=os.O_DSYNC, sync=None),
    Case("O_SYNC by sendfile", flags=os.O_DIRECT | os.O_SYNC, sync=None, call="sendfile"),
)


def prepare(where):
    """All that was before is on the disk, and so are the names."""
    directory = os.open(where, os.O_RDONLY)
    for case in CASES:
        fd = os.open(f"{where}/{case.name}", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, case.old())
        if case.prepare == "allocate":
            os.posix_fallocate(fd, 0, 4 * SIZE)
        os.fsync(fd)
        os.close(fd)
    os.fsync(directory)
    os.close(directory)
    os.sync()


def devices(where):
    """Numbers of the disk of a place, and of the paths that lead to it."""
    disk = os.path.basename(os.environ[where + "_DEV"])
    with open("/proc/diskstats", encoding="ascii") as lines:
        for line in lines:
            major, minor, name = line.split()[:3]
            if re.sub(r"^(nvme\d+)c\d+(n\d+)$", r"\1\2", name) == disk:
                yield f"{major},{minor}"


def sectors(fd):
    """Where on the disk the file is, as pairs of a first sector and the end."""
    ask = bytearray(struct.pack("QQIIII", 0, 1 << 62, 0, 0, 256, 0) + bytes(256 * 56))
    fcntl.ioctl(fd, FIEMAP, ask)
    for n in range(struct.unpack_from("I", ask, 20)[0]):
        _, physical, length = struct.unpack_from("QQQ", ask, 32 + n * 56)
        # F2FS says 0 of what has no place yet.
        if physical:
            yield physical // 512, (physical + length) // 512


class Trace:
    """The requests to a disk since the last one was started."""

    def __init__(self, where):
        self.devices = set(devices(where))
        os.makedirs(TRACE, exist_ok=True)
        self.put("trace", "")
        for event in "issue", "complete":
            self.put(f"events/block/block_rq_{event}/enable", "1")

    @staticmethod
    def put(name, text):
        with open(f"{TRACE}/{name}", "w", encoding="ascii") as f:
            f.write(text)

    def requests(self):
        """(issued or completed, flags, sector), in order."""
        with open(f"{TRACE}/trace", encoding="ascii") as lines:
            for line in lines:
                match = re.search(r"block_rq_(issue|complete): (\d+,\d+) (\S+) .*?\(.*?\) (\d+) \+", line)
                if match and match.group(2) in self.devices:
                    yield match.group(1), match.group(3), int(match.group(4))

    def missing(self, where):
        """What the data in WHERE, sectors, lacks to be on the disk for good, or None."""
        missing = "all data"
        for what, flags, sector in self.requests():
            # F is a flush, or comes with one if it is first; behind the operation
            # it is a write through the cache.
            flush, operation, after = re.match(r"(F?)([A-Z])(.*)", flags).groups()
            if what == "issue" and (flush or operation == "F") and missing == "a flush":
                missing = None
            if operation == "W" and any(begin <= sector < end for begin, end in where):
                if "F" not in after:
                    missing = "a flush"
                elif missing != "a flush":
                    missing = None
        return missing


def move(case, buf, shift, fd):
    if case.call == "splice":
        everything(
            lambda n: os.splice(buf.fd, fd, case.size - n, offset_src=shift + n, offset_dst=case.pos + n), case.size
        )
    elif case.call == "sendfile":
        everything(lambda n: os.sendfile(fd, buf.fd, shift + n, case.size - n), case.size)
    else:
        everything(lambda n: os.copy_file_range(buf.fd, fd, case.size - n, shift + n, case.pos + n), case.size)


def write_case(where, case):
    # As far from a block in the buffer as in the file: the body goes directly.
    shift = case.pos % 4096
    buf = Buffer((shift + case.size + 4095) & ~4095)
    buf.put(shift, case.new())
    fd = os.open(f"{place(where)}/{case.name}", os.O_RDWR | case.flags)
    trace = Trace(where)
    move(case, buf, shift, fd)
    if case.sync:
        case.sync(fd)
    missing = trace.missing(list(sectors(fd)))
    if missing:
        raise AssertionError(f"{where}, {case.name}: it lacks {missing}, in {list(trace.requests())}")
    os.close(fd)
    direct = buf.count("dio_write_bytes") > 0
    # F2FS has blocks allocated by no write that may be refused: it copies.
    if not (where == "DIO_F2FS" and case.unallocated()) and direct != (case.flags & os.O_DIRECT > 0):
        raise AssertionError(f"{where}, {case.name}: not the way it was meant to go")
    buf.close()


def write(mark):
    for where in PLACES:
        prepare(place(where))
    for where in PLACES:
        for case in CASES:
            write_case(where, case)
    print("written", flush=True)
    # Something is always under way when the power goes.
    buf = Buffer(SIZE)
    size = 0
    while True:
        for where in PLACES:
            for name, flags in (("direct", os.O_DIRECT), ("buffered", 0)):
                fd = os.open(f"{place(where)}/noise, {name}", os.O_RDWR | os.O_CREAT | flags, 0o644)
                os.splice(buf.fd, fd, SIZE, offset_src=0, offset_dst=size)
                os.close(fd)
        size = (size + SIZE) % (64 * SIZE)
        os.close(os.open(mark, os.O_CREAT | os.O_WRONLY))


def verify_case(where, case):
    with open(f"{where}/{case.name}", "rb") as f:
        got = f.read()
    want = case.after()
    if len(got) != len(want):
        raise AssertionError(f"{len(got)} bytes, not {len(want)}")
    if got != want:
        bad = next(i for i in range(len(got)) if got[i] != want[i])
        raise AssertionError(f"another byte at {bad}")


def whole(where, *command):
    subprocess.run(["umount", place(where)], check=True)
    subprocess.run([*command, os.environ[where + "_DEV"]], check=True, stdout=sys.stderr)


def verify():
    tap = Tap()
    for where in PLACES:
        for case in CASES:
            tap.run(f"{where[4:].lower()}, {case.name}", verify_case, place(where), case)
    tap.run("ext4 is consistent", whole, "DIO_EXT4", "e2fsck", "-fn")
    tap.run("xfs is consistent", whole, "DIO_XFS", "xfs_repair", "-n")
    tap.run("f2fs is consistent", whole, "DIO_F2FS", "fsck.f2fs", "--dry-run")
    tap.end()


if sys.argv[1] == "write":
    write(sys.argv[2])
else:
    verify()
