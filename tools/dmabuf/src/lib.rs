// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Allocate dma-bufs and load files into them by direct I/O.
//!
//! A *dma-buf* is memory that devices share: a GPU, a camera, a network card
//! and the disk can all work on it, and a process holds it as a file
//! descriptor. On a kernel with dma-buf direct I/O, one splice(2) call brings
//! a file from the disk into such a buffer: no pipe, no page cache, no copy by
//! the CPU.
//!
//! ```no_run
//! use dmabuf::{Heap, open_direct};
//!
//! # fn main() -> Result<(), dmabuf::Error> {
//! let file = open_direct("weights.bin")?;
//! let mut buf = Heap::open("system")?.allocate(32 << 20)?;
//!
//! // At most 32 MiB from the start of the file to the start of the buffer.
//! let n = buf.load(&file, 0, 0, 32 << 20)?;
//!
//! // Hand `buf` to a device by its descriptor, or look at it with the CPU:
//! println!("{n} bytes, the first is {:#x}", buf.cpu_read()?[0]);
//! println!("{} of them by DMA", buf.stats()?.dio_read_bytes.unwrap_or(0));
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - [`Heap`] allocates from the kernel's dma-buf heaps (`/dev/dma_heap/*`).
//! - [`Memfd`] is ordinary anonymous memory that `/dev/udmabuf` turns into a
//!   dma-buf.
//! - [`DmaBuf`] is the buffer. [`DmaBuf::load`] fills it from a file and deals
//!   with large lengths, the last, partial block and interrupted calls;
//!   [`DmaBuf::splice_from`] is the bare system call.
//! - [`DmaBuf::cpu_read`] and [`DmaBuf::cpu_write`] give the bytes as slices,
//!   between the two `DMA_BUF_IOCTL_SYNC` calls that the kernel asks for.
//! - [`Error`] says what failed, why, and what to try next; the bare [`Errno`]
//!   is in it.
//!
//! Loading takes the buffer by `&mut`, looking at it by `&`: the compiler
//! refuses a program that loads into a buffer while it holds its bytes. It
//! cannot see what *other* holders of the buffer do: coordinate with them
//! before you call `cpu_read` or `cpu_write`.

mod buf;
mod error;
mod fdinfo;
mod heap;
mod load;
mod map;
mod memfd;
mod uapi;
pub mod units;

pub use buf::{CpuRead, CpuWrite, DmaBuf};
pub use error::Error;
pub use fdinfo::Stats;
pub use heap::Heap;
pub use load::{file_size, open_direct};
pub use map::Mapping;
pub use memfd::Memfd;
pub use rustix::io::Errno;

/// Result of everything in this crate that can explain its failure.
pub type Result<T> = std::result::Result<T, Error>;

/// Direct I/O works in whole blocks of the disk, which are 512 or 4096 bytes.
/// Offsets and lengths that are multiples of this fit every disk.
pub const BLOCK: u64 = 4096;
