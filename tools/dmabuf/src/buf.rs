// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::{Error, Mapping, Result, Stats, uapi, units};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

/// A buffer that devices share, held by its file descriptor.
#[derive(Debug)]
pub struct DmaBuf {
    fd: OwnedFd,
    size: u64,
    /// Made when the CPU first asks for the bytes: a buffer that only devices
    /// use never gets one.
    map: OnceLock<Mapping>,
}

impl DmaBuf {
    /// Takes over a dma-buf that came from elsewhere: another process, a GPU
    /// driver.
    ///
    /// ```
    /// use std::os::fd::OwnedFd;
    /// let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    /// let error = dmabuf::DmaBuf::from_fd(file).unwrap_err();
    /// assert!(error.to_string().contains("not a dma-buf"));
    /// ```
    pub fn from_fd(fd: OwnedFd) -> Result<DmaBuf> {
        read_stats(fd.as_fd())?;
        DmaBuf::wrap(fd)
    }

    pub(crate) fn wrap(fd: OwnedFd) -> Result<DmaBuf> {
        // The kernel answers this one seek on a dma-buf with its size.
        let size = rustix::fs::seek(&fd, rustix::fs::SeekFrom::End(0))
            .map_err(|errno| Error::new(format!("size of dma-buf {}", fd.as_raw_fd()), errno))?;
        Ok(DmaBuf {
            fd,
            size,
            map: OnceLock::new(),
        })
    }

    /// Its size in bytes, whole pages.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The kernel's counters for this buffer, and who made it.
    pub fn stats(&self) -> Result<Stats> {
        read_stats(self.fd.as_fd())
    }

    /// The bytes, for reading by the CPU, until the guard is dropped.
    ///
    /// Waits for devices that still write to the buffer, and makes their
    /// bytes visible (`DMA_BUF_IOCTL_SYNC`).
    pub fn cpu_read(&self) -> Result<CpuRead<'_>> {
        self.mapped()?;
        let sync = Sync::start(self.fd.as_fd(), uapi::SYNC_READ)?;
        let bytes = self.map.get().expect("mapped above");
        Ok(CpuRead { sync, bytes })
    }

    /// The bytes, for reading and writing by the CPU, until the guard is
    /// dropped.
    ///
    /// Waits for devices that still use the buffer, and makes the CPU's bytes
    /// visible to them afterwards (`DMA_BUF_IOCTL_SYNC`).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), dmabuf::Error> {
    /// let mut buf = dmabuf::Heap::open("system")?.allocate(4096)?;
    /// buf.cpu_write()?.fill(0xff);
    /// assert!(buf.cpu_read()?.iter().all(|&byte| byte == 0xff));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cpu_write(&mut self) -> Result<CpuWrite<'_>> {
        self.mapped()?;
        let sync = Sync::start(self.fd.as_fd(), uapi::SYNC_RW)?;
        let bytes = self.map.get_mut().expect("mapped above");
        Ok(CpuWrite { sync, bytes })
    }

    /// Gives up the mapping that [`DmaBuf::cpu_read`] or [`DmaBuf::cpu_write`]
    /// has made. They make a new one when they are called again.
    pub fn unmap(&mut self) {
        self.map.take();
    }

    fn mapped(&self) -> Result<()> {
        if self.map.get().is_none() {
            let map = Mapping::new(&self.fd, self.size as usize).map_err(|errno| {
                Error::new(
                    format!("mmap of dma-buf, {}", units::bytes(self.size)),
                    errno,
                )
                .hint("not every dma-buf lets the CPU in; memory inside a device often does not")
            })?;
            // If another thread was faster, its mapping is as good.
            let _ = self.map.set(map);
        }
        Ok(())
    }
}

impl AsFd for DmaBuf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<DmaBuf> for OwnedFd {
    fn from(buf: DmaBuf) -> OwnedFd {
        buf.fd
    }
}

fn read_stats(fd: BorrowedFd<'_>) -> Result<Stats> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::new(&path, Errno::from_io_error(&e).unwrap_or(Errno::IO)).hint("is /proc mounted?")
    })?;
    Stats::parse(&text).ok_or_else(|| {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        Error::new(
            name.map_or_else(|_| path, |name| name.display().to_string()),
            Errno::INVAL,
        )
        .reason("not a dma-buf")
    })
}

/// The time between the two ioctls.
#[derive(Debug)]
struct Sync<'a> {
    fd: BorrowedFd<'a>,
    direction: u64,
}

impl<'a> Sync<'a> {
    fn start(fd: BorrowedFd<'a>, direction: u64) -> Result<Self> {
        retry_on_intr(|| uapi::sync(fd, uapi::SYNC_START | direction))
            .map_err(|errno| Error::new("DMA_BUF_IOCTL_SYNC before access by the CPU", errno))?;
        Ok(Sync { fd, direction })
    }
}

impl Drop for Sync<'_> {
    fn drop(&mut self) {
        // What fails here failed in the exporter's cache maintenance, about
        // which nobody can do anything; the kernel's own users ignore it too.
        let _ = retry_on_intr(|| uapi::sync(self.fd, uapi::SYNC_END | self.direction));
    }
}

/// A buffer's bytes while the CPU may read them. From [`DmaBuf::cpu_read`].
#[derive(Debug)]
#[must_use = "the bytes are valid only as long as this lives"]
pub struct CpuRead<'a> {
    #[expect(dead_code, reason = "held for its drop")]
    sync: Sync<'a>,
    bytes: &'a [u8],
}

impl Deref for CpuRead<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// A buffer's bytes while the CPU may read and write them. From
/// [`DmaBuf::cpu_write`].
#[derive(Debug)]
#[must_use = "the bytes are valid only as long as this lives"]
pub struct CpuWrite<'a> {
    #[expect(dead_code, reason = "held for its drop")]
    sync: Sync<'a>,
    bytes: &'a mut [u8],
}

impl Deref for CpuWrite<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl DerefMut for CpuWrite<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}
