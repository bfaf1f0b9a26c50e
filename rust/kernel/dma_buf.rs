// SPDX-License-Identifier: GPL-2.0

//! Buffers that devices share.
//!
//! A [`DmaBuf`] is memory that its exporter lends to devices, and to user space as a file
//! descriptor. Importers [attach](DmaBuf::attach) a device and map the buffer for it; what they get
//! are addresses, and never pages.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)
//!
//! # Writing an exporter
//!
//! An exporter says where the memory is, and keeps it there until it is dropped. That is a type
//! that implements [`Memory`]; for pages of the page allocator there is [`PageMemory`]. The type
//! that implements [`Exporter`] has the memory and whatever else belongs to one buffer. The rest is
//! done for it: mapping for devices, as segments and as a scatterlist; access by the CPU; `mmap()`;
//! mappings for the kernel; and keeping the module there as long as there are buffers.
//!
//! This is all of a heap, which user space finds in `/dev/dma_heap`. Its buffers are made of blocks
//! of 16 KiB.
//!
//! ```
//! # #[cfg(CONFIG_DMABUF_HEAPS)]
//! # mod example {
//! use kernel::{
//!     dma_buf::{
//!         heap::{
//!             Heap,
//!             Registration, //
//!         },
//!         DmaBuf,
//!         Exporter,
//!         PageMemory, //
//!     },
//!     page::PageBlock,
//!     prelude::*,
//!     sync::aref::ARef, //
//! };
//!
//! struct Buffer(PageMemory);
//!
//! #[vtable]
//! impl Exporter for Buffer {
//!     type Memory = PageMemory;
//!
//!     const NAME: &'static CStr = c"blocks";
//!
//!     fn memory(&self) -> &PageMemory {
//!         &self.0
//!     }
//! }
//!
//! struct Blocks;
//!
//! impl Heap for Blocks {
//!     fn allocate(&self, len: usize, fd_flags: u32) -> Result<ARef<DmaBuf>> {
//!         let mut memory = PageMemory::new();
//!
//!         while memory.size() < len {
//!             // Who is killed waits no longer, and gets no more memory.
//!             if current!().fatal_signal_pending() {
//!                 return Err(EINTR);
//!             }
//!
//!             let block = PageBlock::alloc(GFP_KERNEL | __GFP_COMP, 2)?;
//!             memory.push(block, GFP_KERNEL)?;
//!         }
//!
//!         let size = memory.size();
//!         DmaBuf::export(Ok(Buffer(memory)), size, fd_flags)
//!     }
//! }
//!
//! struct BlocksModule {
//!     _heap: Registration<Blocks>,
//! }
//!
//! impl kernel::Module for BlocksModule {
//!     fn init(_module: &'static ThisModule) -> Result<Self> {
//!         Ok(Self {
//!             _heap: Registration::new(c"blocks", Ok(Blocks))?,
//!         })
//!     }
//! }
//! # pub fn try_it() -> Result<usize> {
//! #     let this = kernel::module::this_module::<crate::LocalModule>();
//! #     let module = <BlocksModule as kernel::Module>::init(this)?;
//! #     let buf = Blocks.allocate(kernel::page::PAGE_SIZE, kernel::fs::file::flags::O_RDWR)?;
//! #     drop(module);
//! #     Ok(buf.size() / kernel::page::PAGE_SIZE)
//! # }
//! # }
//! # #[cfg(CONFIG_DMABUF_HEAPS)]
//! # assert_eq!(example::try_it()?, 4);
//! # Ok::<(), Error>(())
//! ```
//!
//! A module is made of it with `module!`, which imports the namespaces `DMA_BUF` and
//! `DMA_BUF_HEAP`.
//!
//! Memory that devices do not reach at its physical address, such as that of another device, is
//! mapped by the exporter itself: see [`Exporter::map_segments`].
//!
//! # Locks
//!
//! Buffers are mapped and unmapped with their reservation lock held. What is called so gets a
//! [`Locked`], which nobody else can make. The objects of importers take the lock when they are
//! made and dropped, so a thread that [holds](DmaBuf::lock) it must not do that.

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};
use core::{
    mem,
    ptr::NonNull, //
};

mod attachment;
mod backing;
mod cpu;
mod export;
#[cfg(CONFIG_DMABUF_HEAPS)]
pub mod heap;
mod mapping;
mod memfd;
mod memory;
mod resv;
#[cfg(CONFIG_RUST_DMA_BUF_KUNIT_TEST)]
mod tests;

pub use self::{
    attachment::{
        Attachment,
        MappedSegments,
        MappedTable,
        Pinned, //
    },
    backing::Mmap,
    cpu::{
        CpuAccess,
        VMap, //
    },
    export::Exporter,
    mapping::{
        AddressMap,
        Segment, //
    },
    memfd::MemfdMemory,
    memory::{
        Memory,
        PageMemory,
        PhysRange,
        SharedPageMemory, //
    },
    resv::{
        Locked,
        ResvGuard, //
    },
};

/// A buffer that devices share.
///
/// # Invariants
///
/// The C object is valid, and each [`ARef`] to it has a reference to its file.
#[repr(transparent)]
pub struct DmaBuf(Opaque<bindings::dma_buf>);

// SAFETY: The reference count of the file is atomic, and the file may be released by any thread.
unsafe impl Send for DmaBuf {}

// SAFETY: All methods of a shared reference are those of C functions that do their own locking, or
// read fields that never change.
unsafe impl Sync for DmaBuf {}

// SAFETY: `get_dma_buf()` takes a reference to the file, which has the dma-buf with it until
// `dma_buf_put()` drops the last one.
unsafe impl AlwaysRefCounted for DmaBuf {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: The existence of a reference means that the reference count is not 0.
        unsafe { bindings::get_dma_buf(self.as_raw()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up one reference.
        unsafe { bindings::dma_buf_put(obj.cast().as_ptr()) };
    }
}

impl DmaBuf {
    /// # Safety
    ///
    /// `ptr` must point to a `struct dma_buf` that is valid for `'a`.
    #[inline]
    unsafe fn from_raw<'a>(ptr: *mut bindings::dma_buf) -> &'a Self {
        // SAFETY: `DmaBuf` is a transparent wrapper, and the caller vouches for the pointer.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    fn as_raw(&self) -> *mut bindings::dma_buf {
        self.0.get()
    }

    /// Returns the buffer behind a file descriptor of the current process.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::dma_buf::DmaBuf;
    ///
    /// fn size_of_fd(fd: i32) -> Result<usize> {
    ///     Ok(DmaBuf::get(fd)?.size())
    /// }
    ///
    /// assert_eq!(size_of_fd(-1), Err(EBADF));
    /// ```
    ///
    /// # Errors
    ///
    /// [`EBADF`] if there is no such file, [`EINVAL`] if it is not a dma-buf.
    pub fn get(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: Any `fd` will do.
        let ptr = from_err_ptr(unsafe { bindings::dma_buf_get(fd) })?;

        // SAFETY: `dma_buf_get()` returned a valid pointer, and a reference with it.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(ptr.cast())) })
    }

    /// Returns the size of the buffer in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        // SAFETY: By the type invariant the object is valid; its size never changes.
        unsafe { (*self.as_raw()).size }
    }

    /// Makes a file descriptor for the current process of a reference to the buffer.
    ///
    /// `flags` is 0 or `O_CLOEXEC`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     dma_buf::DmaBuf,
    ///     fs::file::flags::O_CLOEXEC,
    ///     sync::aref::ARef, //
    /// };
    ///
    /// /// What an ioctl returns that makes a buffer.
    /// fn ioctl_result(buf: ARef<DmaBuf>) -> Result<isize> {
    ///     Ok(DmaBuf::into_fd(buf, O_CLOEXEC)? as isize)
    /// }
    /// ```
    pub fn into_fd(buf: ARef<Self>, flags: u32) -> Result<i32> {
        // SAFETY: By the type invariant the object is valid.
        let fd = unsafe { bindings::dma_buf_fd(buf.as_raw(), flags as c_int) };
        to_result(fd)?;

        // The file descriptor has the reference now.
        mem::forget(buf);
        Ok(fd)
    }
}
