// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::{DmaBuf, Error, Result, uapi, units};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// One of the kernel's allocators of dma-bufs, a file in `/dev/dma_heap`.
///
/// Every kernel with heaps has `system`: ordinary memory in pieces as large
/// as the page allocator has them at hand.
#[derive(Debug)]
pub struct Heap {
    name: String,
    fd: OwnedFd,
}

impl Heap {
    /// Opens the heap of that name.
    pub fn open(name: &str) -> Result<Heap> {
        let path = format!("/dev/dma_heap/{name}");
        let fd = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(
            |errno| {
                let error = Error::new(&path, errno);
                match errno {
                    Errno::NOENT => error.reason("no such heap").hint(match Heap::names() {
                        names if names.is_empty() => "this kernel has none; it needs \
                                CONFIG_DMABUF_HEAPS and CONFIG_DMABUF_HEAPS_SYSTEM"
                            .to_string(),
                        names => format!("there is {}", names.join(", ")),
                    }),
                    Errno::ACCESS | Errno::PERM => {
                        error.hint("run as root, or give this user access to the file")
                    }
                    _ => error,
                }
            },
        )?;
        Ok(Heap {
            name: name.into(),
            fd,
        })
    }

    /// The heaps of this machine, sorted.
    pub fn names() -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir("/dev/dma_heap")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new, zeroed buffer of at least `len` bytes: the kernel rounds up to
    /// whole pages, [`DmaBuf::size`] tells.
    pub fn allocate(&self, len: u64) -> Result<DmaBuf> {
        uapi::heap_alloc(self.fd.as_fd(), len)
            .map_err(|errno| {
                let error = Error::new(
                    format!("heap {}, buffer of {}", self.name, units::bytes(len)),
                    errno,
                );
                match errno {
                    Errno::NOMEM => error.hint(
                        "free memory, or take smaller buffers: \
                         a heap refuses more than half of all memory in one",
                    ),
                    Errno::MFILE => {
                        error.hint("take larger buffers, or raise the limit with `ulimit -n`")
                    }
                    Errno::INVAL if len == 0 => error.hint("ask for at least one byte"),
                    _ => error,
                }
            })
            .and_then(DmaBuf::wrap)
    }
}
