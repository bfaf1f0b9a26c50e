// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ioctls of `<linux/dma-heap.h>`, `<linux/dma-buf.h>`,
//! `<linux/udmabuf.h>` and the one of `<linux/fs.h>` used here, and the calls
//! that move data. Every `unsafe` call into the kernel except mmap(2) is in
//! this file.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::ioctl::{self, Getter, Ioctl, IoctlOutput, Opcode, Setter, opcode};
use rustix::pipe::SpliceFlags;
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

/// The most that any call moves; some refuse numbers that are much larger.
fn count(len: u64) -> usize {
    const MAX_RW_COUNT: u64 = 0x7fff_f000;
    len.min(MAX_RW_COUNT) as usize
}

pub(crate) fn splice(
    from: BorrowedFd<'_>,
    mut from_off: Option<u64>,
    to: BorrowedFd<'_>,
    mut to_off: Option<u64>,
    len: u64,
    flags: u32,
) -> Result<u64, Errno> {
    rustix::pipe::splice(
        from,
        from_off.as_mut(),
        to,
        to_off.as_mut(),
        count(len),
        // Has no name for SPLICE_F_NOCOPY.
        SpliceFlags::from_bits_retain(flags),
    )
    .map(|n| n as u64)
}

pub(crate) fn sendfile(
    from: BorrowedFd<'_>,
    mut from_off: Option<u64>,
    to: BorrowedFd<'_>,
    len: u64,
) -> Result<u64, Errno> {
    rustix::fs::sendfile(to, from, from_off.as_mut(), count(len)).map(|n| n as u64)
}

/// As rustix has it, and with flags.
pub(crate) fn copy_file_range(
    from: BorrowedFd<'_>,
    from_off: Option<u64>,
    to: BorrowedFd<'_>,
    to_off: Option<u64>,
    len: u64,
    flags: u32,
) -> Result<u64, Errno> {
    use rustix::fd::AsRawFd;
    let mut offsets = [from_off, to_off].map(|off| off.map(|off| off as libc::off64_t));
    let [from_off, to_off] = offsets.each_mut().map(|off| {
        off.as_mut()
            .map_or(std::ptr::null_mut(), |off| &raw mut *off)
    });
    // SAFETY: each offset is null or alive, and the kernel keeps neither.
    let n = unsafe {
        libc::copy_file_range(
            from.as_raw_fd(),
            from_off,
            to.as_raw_fd(),
            to_off,
            count(len),
            flags,
        )
    };
    u64::try_from(n)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
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

    /// Two ordinary files: what the kernel does for those is known everywhere.
    #[test]
    fn calls_reach_the_kernel_in_the_right_order() {
        let file = |text: &[u8]| {
            let fd = rustix::fs::memfd_create("dmabuf", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            rustix::io::pwrite(&fd, text, 0).unwrap();
            fd
        };
        let text = |fd: &OwnedFd| {
            let mut text = [0; 8];
            let n = rustix::io::pread(fd, &mut text, 0).unwrap();
            text[..n].to_vec()
        };
        let (a, b) = (file(b"abcdef"), file(b"......"));
        let (from, to) = (a.as_fd(), b.as_fd());
        assert_eq!(copy_file_range(from, Some(1), to, Some(2), 2, 0), Ok(2));
        assert_eq!(text(&b), b"..bc..");
        assert_eq!(sendfile(from, Some(4), to, u64::MAX), Ok(2));
        assert_eq!(text(&b), b"efbc..");
        // Flags get there, too: unknown ones are refused.
        let flag = 0x8000_0000;
        let refused = Err(Errno::INVAL);
        assert_eq!(copy_file_range(from, None, to, None, 2, flag), refused);
        assert_eq!(splice(from, Some(0), to, Some(0), 2, 0), refused);
    }
}
