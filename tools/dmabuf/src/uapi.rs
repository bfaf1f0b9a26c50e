// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ioctls of `<linux/dma-heap.h>`, `<linux/dma-buf.h>`,
//! `<linux/udmabuf.h>` and the one of `<linux/fs.h>` used here. Every `unsafe`
//! call into the kernel except mmap(2) is in this file.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::ioctl::{self, Getter, Ioctl, IoctlOutput, Opcode, Setter, opcode};
use std::ffi::c_void;

const DMA_HEAP_IOCTL_ALLOC: Opcode = opcode::read_write::<HeapAllocation>(b'H', 0);
const DMA_BUF_IOCTL_SYNC: Opcode = opcode::write::<u64>(b'b', 0);
const UDMABUF_CREATE: Opcode = opcode::write::<UdmabufCreate>(b'u', 0x42);
const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);

pub(crate) const SYNC_READ: u64 = 1;
pub(crate) const SYNC_RW: u64 = 3;
pub(crate) const SYNC_START: u64 = 0;
pub(crate) const SYNC_END: u64 = 4;

const UDMABUF_FLAGS_CLOEXEC: u32 = 1;

/// `struct dma_heap_allocation_data`
#[repr(C)]
struct HeapAllocation {
    len: u64,
    fd: u32,
    fd_flags: u32,
    heap_flags: u64,
}

/// `struct udmabuf_create`
#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

// SAFETY: the opcode carries the size of this very structure, which the kernel
// reads and writes and keeps no pointer to.
unsafe impl Ioctl for HeapAllocation {
    type Output = OwnedFd;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        DMA_HEAP_IOCTL_ALLOC
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, arg: *mut c_void) -> Result<OwnedFd, Errno> {
        // SAFETY: `arg` is what `as_ptr` returned. After success the kernel
        // has put a new descriptor there that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd((*arg.cast::<Self>()).fd as RawFd) })
    }
}

// SAFETY: as above, except that the kernel only reads.
unsafe impl Ioctl for UdmabufCreate {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        UDMABUF_CREATE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }

    unsafe fn output_from_ptr(fd: IoctlOutput, _: *mut c_void) -> Result<OwnedFd, Errno> {
        // SAFETY: a successful call returns a new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

pub(crate) fn heap_alloc(heap: BorrowedFd<'_>, len: u64) -> Result<OwnedFd, Errno> {
    use rustix::fs::OFlags;
    let request = HeapAllocation {
        len,
        fd: 0,
        fd_flags: (OFlags::RDWR | OFlags::CLOEXEC).bits(),
        heap_flags: 0,
    };
    // SAFETY: only device files of /dev/dma_heap get here; any other answers ENOTTY.
    unsafe { ioctl::ioctl(heap, request) }
}

pub(crate) fn udmabuf_create(
    device: impl AsFd,
    memfd: BorrowedFd<'_>,
    offset: u64,
    size: u64,
) -> Result<OwnedFd, Errno> {
    use rustix::fd::AsRawFd;
    let request = UdmabufCreate {
        memfd: memfd.as_raw_fd() as u32,
        flags: UDMABUF_FLAGS_CLOEXEC,
        offset,
        size,
    };
    // SAFETY: only /dev/udmabuf gets here; any other file answers ENOTTY.
    unsafe { ioctl::ioctl(device, request) }
}

pub(crate) fn sync(buf: BorrowedFd<'_>, flags: u64) -> Result<(), Errno> {
    // SAFETY: the kernel reads one u64.
    unsafe { ioctl::ioctl(buf, Setter::<DMA_BUF_IOCTL_SYNC, u64>::new(flags)) }
}

pub(crate) fn block_device_size(disk: BorrowedFd<'_>) -> Result<u64, Errno> {
    // SAFETY: the kernel writes one u64, whatever the type in the opcode says.
    unsafe { ioctl::ioctl(disk, Getter::<BLKGETSIZE64, u64>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers a C program gets from the kernel's headers.
    #[test]
    fn numbers_are_those_of_the_headers() {
        assert_eq!(DMA_HEAP_IOCTL_ALLOC, 0xc018_4800);
        assert_eq!(DMA_BUF_IOCTL_SYNC, 0x4008_6200);
        assert_eq!(UDMABUF_CREATE, 0x4018_7542);
        assert_eq!(BLKGETSIZE64, 0x8008_1272);
    }

    #[test]
    fn structures_have_no_holes() {
        assert_eq!(size_of::<HeapAllocation>(), 24);
        assert_eq!(std::mem::offset_of!(HeapAllocation, heap_flags), 16);
        assert_eq!(size_of::<UdmabufCreate>(), 24);
        assert_eq!(std::mem::offset_of!(UdmabufCreate, offset), 8);
    }

    /// A file that knows none of these must say so, not be misunderstood.
    #[test]
    fn a_plain_file_answers_enotty() {
        let null = rustix::fs::open(
            "/dev/null",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        assert_eq!(heap_alloc(null.as_fd(), 4096).unwrap_err(), Errno::NOTTY);
        assert_eq!(
            udmabuf_create(&null, null.as_fd(), 0, 4096).unwrap_err(),
            Errno::NOTTY
        );
        assert_eq!(sync(null.as_fd(), SYNC_READ), Err(Errno::NOTTY));
        assert_eq!(block_device_size(null.as_fd()), Err(Errno::NOTTY));
    }
}
