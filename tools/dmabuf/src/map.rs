// SPDX-License-Identifier: GPL-2.0 OR MIT

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ops::{Deref, DerefMut};

/// The memory of a [`Memfd`](crate::Memfd) or a buffer, mapped and shared,
/// unmapped when dropped.
///
/// The compiler knows this mapping, not the others there may be of the same
/// memory: do not write through one while another is being read.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and the usual
// rules for `&` and `&mut` guard the bytes.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(fd: impl AsFd, len: usize) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice touches
        // no memory that is in use.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        Ok(Mapping {
            start: start.cast(),
            len,
        })
    }
}

impl Deref for Mapping {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is alive and `len` long.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for Mapping {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only way to it now.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrowed from a value that is being dropped. The
        // call cannot fail for a range that mmap(2) returned.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}
