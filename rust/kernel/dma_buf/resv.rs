// SPDX-License-Identifier: GPL-2.0

//! The reservation lock of dma-bufs.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)

use super::DmaBuf;
use crate::{
    bindings,
    dma::DataDirection,
    error::to_result,
    prelude::*,
    task::MAX_SCHEDULE_TIMEOUT,
    types::NotThreadSafe, //
};
use core::{
    ops::Deref,
    ptr, //
};

/// Proof that the reservation lock of a [`DmaBuf`] is held.
///
/// What is called with the lock held gets a reference to it, and what needs the lock asks for one.
///
/// # Invariants
///
/// This thread holds the reservation lock of the buffer as long as the object lives.
pub struct Locked<'a>(&'a DmaBuf, NotThreadSafe);

impl<'a> Locked<'a> {
    /// # Safety
    ///
    /// This thread must hold the reservation lock of `buf` as long as the object lives.
    #[inline]
    pub(super) unsafe fn assume(buf: &'a DmaBuf) -> Self {
        // INVARIANT: The caller guarantees it.
        Self(buf, NotThreadSafe)
    }

    /// Returns the buffer.
    #[inline]
    pub fn buffer(&self) -> &'a DmaBuf {
        self.0
    }

    /// Waits for the fences that DMA in direction `dir` has to wait for.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal is pending.
    pub fn wait(&self, dir: DataDirection) -> Result {
        // Whoever writes waits for readers, too.
        let usage = if dir == DataDirection::ToDevice {
            bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE
        } else {
            bindings::dma_resv_usage_DMA_RESV_USAGE_READ
        };

        // SAFETY: The reservation object is as valid as the buffer.
        let ret = unsafe {
            bindings::dma_resv_wait_timeout(
                self.0.resv(),
                usage,
                true,
                MAX_SCHEDULE_TIMEOUT as c_ulong,
            )
        };

        // Without a timeout it is a number of jiffies that are left, or an error.
        to_result(ret.min(0) as c_int)
    }
}

/// The reservation lock of a [`DmaBuf`], held until it is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ResvGuard<'a>(Locked<'a>);

impl<'a> Deref for ResvGuard<'a> {
    type Target = Locked<'a>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for ResvGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant of `Locked`, this thread holds the lock.
        unsafe { bindings::dma_resv_unlock(self.0.buffer().resv()) };
    }
}

impl DmaBuf {
    #[inline]
    pub(super) fn resv(&self) -> *mut bindings::dma_resv {
        // SAFETY: By the type invariant the object is valid; the field never changes.
        unsafe { (*self.as_raw()).resv }
    }

    /// Takes the reservation lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     dma::DataDirection,
    ///     dma_buf::DmaBuf, //
    /// };
    ///
    /// /// Returns when the buffer may be read.
    /// fn wait_for_writers(buf: &DmaBuf) -> Result {
    ///     buf.lock().wait(DataDirection::ToDevice)
    /// }
    /// ```
    pub fn lock(&self) -> ResvGuard<'_> {
        // SAFETY: The reservation object is as valid as `self`. Without a context, it cannot fail.
        unsafe { bindings::dma_resv_lock(self.resv(), ptr::null_mut()) };

        // SAFETY: It was just locked, and stays so until the guard is dropped.
        ResvGuard(unsafe { Locked::assume(self) })
    }
}
