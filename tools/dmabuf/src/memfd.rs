// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::{DmaBuf, Error, Mapping, Result, uapi, units};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;

/// Anonymous memory in a file descriptor, which `/dev/udmabuf` can turn into
/// a dma-buf.
///
/// The dma-buf and the memfd are two names of the same pages: what is written
/// through one is seen through the other.
///
/// ```
/// # fn main() -> Result<(), dmabuf::Error> {
/// let memory = dmabuf::Memfd::new(64 << 10)?;
/// memory.map()?[0] = 7;
/// assert_eq!(memory.map()?[0], 7);
///
/// if std::path::Path::new("/dev/udmabuf").exists() {
///     assert_eq!(memory.udmabuf()?.cpu_read()?[0], 7);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Memfd {
    fd: OwnedFd,
    len: u64,
}

impl Memfd {
    /// New zeroed memory, rounded up to whole pages and sealed against
    /// shrinking, as udmabuf demands.
    pub fn new(len: u64) -> Result<Memfd> {
        let page = rustix::param::page_size() as u64;
        Memfd::with(len, page, MemfdFlags::empty())
    }

    /// The same of huge pages of 2 MiB, as far as `/proc/sys/vm/nr_hugepages` and
    /// `nr_overcommit_hugepages` allow. Devices map them at a fraction of the cost.
    pub fn huge(len: u64) -> Result<Memfd> {
        Memfd::with(len, 2 << 20, MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB)
    }

    fn with(len: u64, page: u64, flags: MemfdFlags) -> Result<Memfd> {
        let object = || format!("memfd of {}", units::bytes(len));
        let len = len
            .checked_next_multiple_of(page)
            .filter(|len| (1..=i64::MAX as u64).contains(len))
            .ok_or_else(|| Error::new(object(), Errno::INVAL).hint("ask for at least one byte"))?;
        let make = || {
            let fd = rustix::fs::memfd_create(
                "dmabuf",
                MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | flags,
            )?;
            rustix::fs::ftruncate(&fd, len)?;
            rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK)?;
            Ok(fd)
        };
        match make() {
            Ok(fd) => Ok(Memfd { fd, len }),
            Err(errno) => Err(Error::new(object(), errno)),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// The memory itself. Each call makes a mapping of its own.
    pub fn map(&self) -> Result<Mapping> {
        Mapping::new(&self.fd, self.len as usize).map_err(|errno| {
            Error::new(format!("mmap of memfd, {}", units::bytes(self.len)), errno)
        })
    }

    /// The whole memory as a dma-buf.
    pub fn udmabuf(&self) -> Result<DmaBuf> {
        let path = "/dev/udmabuf";
        let device = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| {
                let error = Error::new(path, errno);
                match errno {
                    Errno::NOENT => error.reason("no such device").hint(
                        "the kernel needs CONFIG_UDMABUF; `modprobe udmabuf` if it is a module",
                    ),
                    Errno::ACCESS | Errno::PERM => {
                        error.hint("run as root, or give this user access to the file")
                    }
                    _ => error,
                }
            })?;
        uapi::udmabuf_create(&device, self.fd.as_fd(), 0, self.len)
            .map_err(|errno| {
                let error = Error::new(
                    format!("udmabuf of {} from a memfd", units::bytes(self.len)),
                    errno,
                );
                match errno {
                    Errno::INVAL => error.hint(
                        "take smaller buffers; the largest allowed, in MiB, is in \
                         /sys/module/udmabuf/parameters/size_limit_mb",
                    ),
                    _ => error,
                }
            })
            .and_then(DmaBuf::wrap)
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_sealed_against_shrinking() {
        let memory = Memfd::new(5000).unwrap();
        assert_eq!(memory.size() % rustix::param::page_size() as u64, 0);
        assert!(memory.size() >= 5000);
        assert_eq!(rustix::fs::ftruncate(&memory, 0), Err(Errno::PERM));
    }

    #[test]
    fn two_mappings_show_the_same_memory() {
        let memory = Memfd::new(8192).unwrap();
        let mut a = memory.map().unwrap();
        let b = memory.map().unwrap();
        assert_eq!(b.len(), 8192);
        a[8191] = 42;
        assert_eq!(b[8191], 42);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for len in [0, u64::MAX, i64::MAX as u64] {
            assert_eq!(Memfd::new(len).unwrap_err().errno(), Errno::INVAL, "{len}");
        }
    }
}
