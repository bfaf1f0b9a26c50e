// SPDX-License-Identifier: GPL-2.0

//! Access to dma-bufs by the CPU.

use super::DmaBuf;
use crate::{
    bindings,
    dma::DataDirection,
    error::to_result,
    io::{
        IoBase,
        IoSysMap,
        IoSysMapBackend,
        Mmio,
        MmioRaw,
        Region,
        SysMem, //
    },
    prelude::*,
    sync::aref::ARef, //
};
use core::mem::{
    ManuallyDrop,
    MaybeUninit, //
};

/// The CPU accesses the buffer until this is dropped.
///
/// # Invariants
///
/// Access in direction `dir` has begun once for each object.
#[must_use = "access ends when the guard is dropped"]
pub struct CpuAccess<'a> {
    buf: &'a DmaBuf,
    dir: DataDirection,
}

impl DmaBuf {
    /// Begins access by the CPU, when the fences that it has to wait for are signaled.
    ///
    /// `dir` is that of the DMA before or after: [`FromDevice`] to read what a device wrote,
    /// [`ToDevice`] to write what a device will read.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     dma::DataDirection,
    ///     dma_buf::DmaBuf,
    ///     io::Io, //
    /// };
    ///
    /// fn mark(buf: &DmaBuf) -> Result {
    ///     let map = buf.vmap()?;
    ///     let access = buf.begin_cpu_access(DataDirection::ToDevice)?;
    ///
    ///     (&map).try_write32(0x5a5a_5a5a, 0)?;
    ///     access.end()
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no direction, or what the exporter says.
    ///
    /// [`FromDevice`]: DataDirection::FromDevice
    /// [`ToDevice`]: DataDirection::ToDevice
    pub fn begin_cpu_access(&self, dir: DataDirection) -> Result<CpuAccess<'_>> {
        // The DMA API takes that for a bug.
        if dir == DataDirection::None {
            return Err(EINVAL);
        }

        // SAFETY: By the type invariant the object is valid.
        to_result(unsafe { bindings::dma_buf_begin_cpu_access(self.as_raw(), dir.into()) })?;
        // INVARIANT: It has just begun.
        Ok(CpuAccess { buf: self, dir })
    }

    /// Maps the buffer for the kernel.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the exporter cannot do that, or not at a multiple of four bytes; or what it
    /// says.
    pub fn vmap(&self) -> Result<VMap> {
        let mut map = MaybeUninit::uninit();
        // SAFETY: By the type invariant the object is valid, and there is a place for the result.
        to_result(unsafe { bindings::dma_buf_vmap_unlocked(self.as_raw(), map.as_mut_ptr()) })?;
        // INVARIANT: It was just mapped.
        let vmap = VMap {
            buf: self.into(),
            // SAFETY: `dma_buf_vmap_unlocked()` has written it.
            map: unsafe { map.assume_init() },
        };

        // A `Region` is made of words.
        if !self.size().is_multiple_of(4) || !vmap.addr().is_multiple_of(4) {
            return Err(EINVAL);
        }
        Ok(vmap)
    }
}

impl CpuAccess<'_> {
    /// Ends the access.
    ///
    /// # Errors
    ///
    /// What the exporter says. Nobody hears it if the object is just dropped.
    pub fn end(self) -> Result {
        let this = ManuallyDrop::new(self);

        // SAFETY: By the type invariant it has begun; it does not end a second time.
        to_result(unsafe { bindings::dma_buf_end_cpu_access(this.buf.as_raw(), this.dir.into()) })
    }
}

impl Drop for CpuAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it has begun.
        unsafe { bindings::dma_buf_end_cpu_access(self.buf.as_raw(), self.dir.into()) };
    }
}

/// A buffer that is mapped for the kernel until this is dropped.
///
/// It is read and written by the methods of [`Io`], between
/// [`begin_cpu_access`](DmaBuf::begin_cpu_access) and its end. Dropping it takes the reservation
/// lock, so do not hold that. If it is forgotten, the buffer stays.
///
/// # Invariants
///
/// `map` is what `dma_buf_vmap_unlocked()` returned for the buffer.
///
/// [`Io`]: crate::io::Io
pub struct VMap {
    buf: ARef<DmaBuf>,
    map: bindings::iosys_map,
}

impl VMap {
    fn addr(&self) -> usize {
        // SAFETY: Both are the same pointer.
        unsafe { self.map.__bindgen_anon_1.vaddr }.addr()
    }
}

// SAFETY: A mapping for the kernel belongs to no thread.
unsafe impl Send for VMap {}

// SAFETY: All that can be done with a shared reference is I/O.
unsafe impl Sync for VMap {}

impl<'a> IoBase<'a> for &'a VMap {
    type Backend = IoSysMapBackend;
    type Target = Region;

    #[inline]
    fn as_view(self) -> IoSysMap<'a, Region> {
        // SAFETY: Both are the same pointer.
        let ptr = unsafe { self.map.__bindgen_anon_1.vaddr };
        let ptr = Region::ptr_from_raw_parts_mut(ptr.cast(), self.buf.size());

        if self.map.is_iomem {
            // SAFETY: By the type invariant this is I/O memory, of the size of the buffer, which is
            // mapped until `self` is dropped.
            unsafe { Mmio::from_raw(MmioRaw::from_ptr(ptr)) }.into()
        } else {
            // SAFETY: By the type invariant this is memory, of the size of the buffer, which is
            // mapped until `self` is dropped.
            unsafe { SysMem::new(ptr) }.into()
        }
    }
}

impl Drop for VMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariant these belong together.
        unsafe { bindings::dma_buf_vunmap_unlocked(self.buf.as_raw(), &mut self.map) };
    }
}
