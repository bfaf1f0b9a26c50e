// SPDX-License-Identifier: GPL-2.0

//! Heaps that user space allocates dma-bufs from.
//!
//! C header: [`include/linux/dma-heap.h`](srctree/include/linux/dma-heap.h)

use super::DmaBuf;
use crate::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// A heap that user space allocates dma-bufs from.
///
/// # Examples
///
/// A heap that never has any memory.
///
/// ```
/// use kernel::{
///     dma_buf::{
///         heap::{
///             Heap,
///             Registration, //
///         },
///         DmaBuf, //
///     },
///     prelude::*,
///     sync::aref::ARef, //
/// };
///
/// struct NoMemory;
///
/// impl Heap for NoMemory {
///     fn allocate(&self, _len: usize, _fd_flags: u32) -> Result<ARef<DmaBuf>> {
///         Err(ENOMEM)
///     }
/// }
///
/// // It is `/dev/dma_heap/rust_doctest` until the registration is dropped.
/// let heap = Registration::new(c"rust_doctest", Ok(NoMemory))?;
/// # drop(heap);
/// # Ok::<(), Error>(())
/// ```
pub trait Heap: Sized + Send + Sync + 'static {
    /// Allocates a buffer of `len` bytes, which are whole pages and not 0.
    ///
    /// `fd_flags` is for [`DmaBuf::export`]: it says how the file may be accessed.
    fn allocate(&self, len: usize, fd_flags: u32) -> Result<ARef<DmaBuf>>;
}

/// Returns whether the memory of heaps is to be accounted to the control group that allocates it.
///
/// # Examples
///
/// ```
/// use kernel::{
///     alloc::Flags,
///     dma_buf::heap, //
/// };
///
/// fn flags() -> Flags {
///     if heap::mem_accounting() {
///         GFP_HIGHUSER | __GFP_ACCOUNT
///     } else {
///         GFP_HIGHUSER
///     }
/// }
/// ```
pub fn mem_accounting() -> bool {
    // SAFETY: The parameter can be set only on the command line.
    unsafe { ptr::read(&raw const bindings::mem_accounting) }
}

/// A heap that user space sees, as a device in `/dev/dma_heap`, until this is dropped.
///
/// It must be dropped before the module that made it goes, as it is when it is a part of that
/// module's data; and should be the last thing there that can fail, as buffers that user space has
/// already got do not keep a module that does not come into being.
///
/// # Invariants
///
/// `raw` is registered, and has `data` as its private data.
pub struct Registration<T: Heap> {
    raw: NonNull<bindings::dma_heap>,
    _data: Pin<KBox<T>>,
}

// SAFETY: A heap belongs to no thread; `T` is `Send`.
unsafe impl<T: Heap> Send for Registration<T> {}

// SAFETY: Nothing can be done with a shared reference.
unsafe impl<T: Heap> Sync for Registration<T> {}

impl<T: Heap> Registration<T> {
    /// Registers a heap.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] or [`EEXIST`] if there is a heap of that name.
    pub fn new(name: &CStr, data: impl PinInit<T, Error>) -> Result<Self> {
        let data = KBox::pin_init(data, GFP_KERNEL)?;
        let info = bindings::dma_heap_export_info {
            name: name.as_char_ptr(),
            ops: &VTable::<T>::OPS,
            priv_: ptr::from_ref(&*data).cast_mut().cast(),
        };

        // SAFETY: The name is copied; `data` and the operations are there until the heap is
        // removed.
        let raw = from_err_ptr(unsafe { bindings::dma_heap_add(&info) })?;

        // INVARIANT: It was just registered.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            _data: data,
        })
    }
}

impl<T: Heap> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered. No callback runs when this returns, so
        // that the data may go.
        unsafe { bindings::dma_heap_remove(self.raw.as_ptr()) };
    }
}

struct VTable<T: Heap>(PhantomData<T>);

impl<T: Heap> VTable<T> {
    const OPS: bindings::dma_heap_ops = bindings::dma_heap_ops {
        allocate: Some(Self::allocate),
    };

    /// # Safety
    ///
    /// Only the ioctl of the heap may call it.
    unsafe extern "C" fn allocate(
        heap: *mut bindings::dma_heap,
        len: c_ulong,
        fd_flags: u32,
        _heap_flags: u64,
    ) -> *mut bindings::dma_buf {
        // SAFETY: By the type invariant of `Registration`, this is its data, which is not dropped
        // before this returns.
        let data = unsafe { &*bindings::dma_heap_get_drvdata(heap).cast::<T>() };

        match data.allocate(len, fd_flags) {
            Ok(buf) => ARef::into_raw(buf).cast().as_ptr(),
            Err(err) => err.to_ptr(),
        }
    }
}
