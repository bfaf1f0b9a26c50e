// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Allocate dma-bufs, load files into them and save them, by direct I/O.
//!
//! A *dma-buf* is memory that devices share: a GPU, a camera, a network card
//! and the disk can all work on it, and a process holds it as a file
//! descriptor. On a kernel with dma-buf direct I/O, one call of splice(2),
//! copy_file_range(2) or sendfile(2) brings a file from the disk into such a
//! buffer, or the buffer to a file: no pipe, no page cache, no copy by the
//! CPU. What cannot go that way is copied, and the kernel says why.
//!
//! ```no_run
//! use dmabuf::Heap;
//!
//! # fn main() -> Result<(), dmabuf::Error> {
//! let file = dmabuf::open("weights.bin")?;
//! let mut buf = Heap::open("system")?.allocate(32 << 20)?;
//!
//! // At most 32 MiB from the start of the file to the start of the buffer.
//! let n = buf.load(&file, 0, 0, 32 << 20)?;
//!
//! // Hand `buf` to a device by its descriptor, or look at it with the CPU:
//! println!("{n} bytes, the first is {:#x}", buf.cpu_read()?[0]);
//! if let Some(io) = buf.stats()?.io {
//!     println!("{} of them by DMA", io.dio_read_bytes);
//! }
//!
//! // And back to a disk.
//! buf.save(dmabuf::create("copy.bin")?, 0, 0, n)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - [`Heap`] allocates from the kernel's dma-buf heaps (`/dev/dma_heap/*`).
//! - [`Memfd`] is ordinary anonymous memory that `/dev/udmabuf` turns into a
//!   dma-buf.
//! - [`DmaBuf`] is the buffer. [`DmaBuf::load`] fills it from a file and
//!   [`DmaBuf::save`] writes it to one; both deal with large lengths, the last,
//!   partial block and interrupted calls. [`By`] says by which [`Call`] and
//!   whether copying is allowed.
//! - [`DmaBuf::splice_from`], [`DmaBuf::copy_file_range_to`] and the like are
//!   the bare system calls, [`Flags`] their flags.
//! - [`Stats`] and [`Counters`] tell what went by DMA, what was copied, and the
//!   [`CopyReason`].
//! - [`DmaBuf::cpu_read`] and [`DmaBuf::cpu_write`] give the bytes as slices,
//!   between the two `DMA_BUF_IOCTL_SYNC` calls that the kernel asks for.
//! - [`Error`] says what failed, why, and what to try next; the bare [`Errno`]
//!   is in it.
//!
//! Loading takes the buffer by `&mut`, looking at it and saving it by `&`: the
//! compiler refuses a program that loads into a buffer while it holds its
//! bytes. It cannot see what *other* holders of the buffer do: coordinate with
//! them before you call `cpu_read` or `cpu_write`.

mod buf;
mod calls;
mod error;
mod fdinfo;
mod heap;
mod map;
mod memfd;
mod transfer;
mod uapi;
pub mod units;

pub use buf::{CpuRead, CpuWrite, DmaBuf};
pub use calls::{Call, Flags};
pub use error::Error;
pub use fdinfo::{CopyReason, Counters, Stats};
pub use heap::Heap;
pub use map::Mapping;
pub use memfd::Memfd;
pub use rustix::io::Errno;
pub use transfer::{By, create, file_size, is_stream, open, open_direct};

/// Result of everything in this crate that can explain its failure.
pub type Result<T> = std::result::Result<T, Error>;

/// Direct I/O works in whole blocks of the disk, which are 512 or 4096 bytes.
/// Offsets and lengths that are multiples of this fit every disk.
pub const BLOCK: u64 = 4096;
