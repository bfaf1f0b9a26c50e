// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The bare system calls, in both directions, one method each.

use crate::{DmaBuf, uapi};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// Flags of splice(2) without a pipe and of copy_file_range(2).
///
/// ```
/// use dmabuf::Flags;
/// let flags = Flags::NOCOPY | Flags::NONBLOCK;
/// assert!(flags.contains(Flags::NOCOPY));
/// assert_eq!(flags.bits(), 0x12);
/// assert!(!Flags::NONE.contains(Flags::NOCOPY));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// Direct what can be, copied what cannot; waits for devices.
    pub const NONE: Flags = Flags(0);
    /// `SPLICE_F_NONBLOCK`: `EAGAIN` rather than to wait for devices that
    /// still use the buffer. Of splice(2) only.
    pub const NONBLOCK: Flags = Flags(0x02);
    /// `SPLICE_F_NOCOPY`: fail rather than let the CPU copy.
    pub const NOCOPY: Flags = Flags(0x10);

    /// The number that the kernel gets.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// The system calls that move data between files and dma-bufs.
///
/// ```
/// use dmabuf::Call;
/// assert_eq!("copy-file-range".parse(), Ok(Call::CopyFileRange));
/// assert_eq!(Call::Splice.to_string(), "splice(2)");
/// assert!("mmap".parse::<Call>().unwrap_err().contains("sendfile"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Call {
    /// splice(2) without a pipe: any file, all flags.
    #[default]
    Splice,
    /// copy_file_range(2): regular files and block devices.
    CopyFileRange,
    /// sendfile(2): writes at the position of the descriptor, no flags.
    Sendfile,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 3] = [Call::Splice, Call::CopyFileRange, Call::Sendfile];

    /// As people type it: `splice`, `copy-file-range`, `sendfile`.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Splice => "splice",
            Call::CopyFileRange => "copy-file-range",
            Call::Sendfile => "sendfile",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Splice => "splice(2)",
            Call::CopyFileRange => "copy_file_range(2)",
            Call::Sendfile => "sendfile(2)",
        })
    }
}

impl FromStr for Call {
    type Err = String;
    fn from_str(text: &str) -> Result<Call, String> {
        let names = Call::ALL.map(Call::name);
        match names.iter().position(|name| *name == text) {
            Some(i) => Ok(Call::ALL[i]),
            None => Err(format!("there is {}", names.join(", "))),
        }
    }
}

/// Moves bytes once. [`DmaBuf::load`] and [`DmaBuf::save`] are made of these
/// and easier to use.
///
/// Every method returns how many bytes were moved. That may be fewer than
/// asked for: at the end of the file that is read or of the buffer, because of
/// a signal, where [`Flags::NOCOPY`] forbids to go on, and because one call
/// moves at most 2 GiB - 4 KiB. 0 means the end of what is read.
///
/// An offset that is `None` is the descriptor's own position, which then
/// moves; other positions stay. Nothing sets the position of a dma-buf back.
///
/// # Errors
///
/// The kernel's number, untouched:
/// - `EINVAL`: the file is open with `O_APPEND`, is a directory or a dma-buf
///   itself; with `NOCOPY`, something is not aligned; or the kernel has no
///   dma-buf direct I/O at all;
/// - `EOPNOTSUPP`: with `NOCOPY`, this would have to be copied; without it, the
///   same, but the CPU has no access to the buffer;
/// - `ENOSPC`: the buffer is to be filled at or past its end; or the file
///   system is full;
/// - `EBADF`: a descriptor is not open in the needed direction;
/// - `ESPIPE`: an offset in a file that has none;
/// - `EIO` and others: as the disk, the file system or the maker of the buffer
///   reports.
///
/// ```no_run
/// use dmabuf::{Flags, Heap};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut buf = Heap::open("system")?.allocate(1 << 20)?;
/// let from = dmabuf::open_direct("frame.raw")?;
/// let n = buf.splice_from(&from, 0, 0, buf.size(), Flags::NOCOPY)?;
///
/// // The same bytes behind whatever the other file has got so far.
/// let to = dmabuf::create("frames.raw")?;
/// buf.copy_file_range_to(&to, None, 0, n, Flags::NONE)?;
/// # Ok(())
/// # }
/// ```
impl DmaBuf {
    /// splice(2) of `file` at `file_off` into this buffer at `buf_off`.
    pub fn splice_from(
        &mut self,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: impl Into<Option<u64>>,
        len: u64,
        flags: Flags,
    ) -> Result<u64, Errno> {
        let (from, to) = (file_off.into(), buf_off.into());
        uapi::splice(file.as_fd(), from, self.as_fd(), to, len, flags.0)
    }

    /// splice(2) of this buffer at `buf_off` into `file` at `file_off`.
    pub fn splice_to(
        &self,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: impl Into<Option<u64>>,
        len: u64,
        flags: Flags,
    ) -> Result<u64, Errno> {
        let (from, to) = (buf_off.into(), file_off.into());
        uapi::splice(self.as_fd(), from, file.as_fd(), to, len, flags.0)
    }

    /// copy_file_range(2) of `file` at `file_off` into this buffer at `buf_off`.
    pub fn copy_file_range_from(
        &mut self,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: impl Into<Option<u64>>,
        len: u64,
        flags: Flags,
    ) -> Result<u64, Errno> {
        let (from, to) = (file_off.into(), buf_off.into());
        uapi::copy_file_range(file.as_fd(), from, self.as_fd(), to, len, flags.0)
    }

    /// copy_file_range(2) of this buffer at `buf_off` into `file` at `file_off`.
    pub fn copy_file_range_to(
        &self,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: impl Into<Option<u64>>,
        len: u64,
        flags: Flags,
    ) -> Result<u64, Errno> {
        let (from, to) = (buf_off.into(), file_off.into());
        uapi::copy_file_range(self.as_fd(), from, file.as_fd(), to, len, flags.0)
    }

    /// sendfile(2) of `file` at `file_off` into this buffer at its own
    /// position, which [`Stats::position`](crate::Stats::position) tells.
    pub fn sendfile_from(
        &mut self,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        len: u64,
    ) -> Result<u64, Errno> {
        uapi::sendfile(file.as_fd(), file_off.into(), self.as_fd(), len)
    }

    /// sendfile(2) of this buffer at `buf_off` into `file` at its own position.
    pub fn sendfile_to(
        &self,
        file: impl AsFd,
        buf_off: impl Into<Option<u64>>,
        len: u64,
    ) -> Result<u64, Errno> {
        uapi::sendfile(self.as_fd(), buf_off.into(), file.as_fd(), len)
    }
}
