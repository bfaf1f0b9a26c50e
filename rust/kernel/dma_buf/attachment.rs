// SPDX-License-Identifier: GPL-2.0

//! The importer's side of dma-bufs.

use super::{
    DmaBuf,
    Segment, //
};
use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    dma::DataDirection,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    scatterlist::SGTable,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    },
};
use core::{
    marker::PhantomData,
    mem,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};

/// A device attached to a [`DmaBuf`].
///
/// The device is detached when the object is dropped. If what it was pinned or mapped by was
/// forgotten, it stays attached, and the buffer and the device stay.
///
/// # Invariants
///
/// `raw` is an attachment of `buf` that knows no importer to tell of moves, so that it is mapped
/// only while it is pinned; there is a reference to its device. `pins` is the number of [`Pinned`]
/// that were not dropped, or whose maps were not.
pub struct Attachment<'d> {
    buf: ARef<DmaBuf>,
    raw: NonNull<bindings::dma_buf_attachment>,
    pins: Atomic<i32>,
    _dev: PhantomData<&'d Device<Bound>>,
}

// SAFETY: An attachment belongs to no thread, and so does none of what it refers to.
unsafe impl Send for Attachment<'_> {}

// SAFETY: What can be done with a shared reference takes the reservation lock.
unsafe impl Sync for Attachment<'_> {}

/// Importers in Rust know devices only by addresses, and have no use for pages.
static IMPORTER: bindings::dma_buf_attach_ops = bindings::dma_buf_attach_ops {
    allow_peer2peer: true,
    invalidate_mappings: None,
};

impl DmaBuf {
    /// Attaches a device.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     device::{
    ///         Bound,
    ///         Device, //
    ///     },
    ///     dma::DataDirection,
    ///     dma_buf::DmaBuf, //
    /// };
    ///
    /// fn read_from_device(buf: &DmaBuf, dev: &Device<Bound>) -> Result {
    ///     let attachment = buf.attach(dev)?;
    ///     let pinned = attachment.pin()?;
    ///     let segments = pinned.map_segments(DataDirection::FromDevice)?;
    ///
    ///     for segment in segments.iter() {
    ///         pr_debug!("{} bytes to {:#x}\n", segment.len(), segment.addr());
    ///     }
    ///
    ///     // It is unmapped, unpinned and detached, in this order.
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What the exporter says if the device cannot get at the buffer.
    pub fn attach<'d>(&self, dev: &'d Device<Bound>) -> Result<Attachment<'d>> {
        // SAFETY: The buffer and the device are valid, the operations are static.
        let raw = from_err_ptr(unsafe {
            bindings::dma_buf_dynamic_attach(
                self.as_raw(),
                dev.as_raw(),
                &IMPORTER,
                ptr::null_mut(),
            )
        })?;

        // An attachment that is forgotten keeps the device, as it keeps the buffer.
        // SAFETY: The device is valid.
        unsafe { bindings::get_device(dev.as_raw()) };
        // INVARIANT: It was just made.
        Ok(Attachment {
            buf: self.into(),
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            pins: Atomic::new(0),
            _dev: PhantomData,
        })
    }
}

impl Attachment<'_> {
    /// Returns the buffer.
    pub fn buffer(&self) -> &DmaBuf {
        &self.buf
    }

    /// Keeps the buffer where it is.
    ///
    /// Do not let user space do this to any amount of memory.
    pub fn pin(&self) -> Result<Pinned<'_>> {
        let _lock = self.buf.lock();

        // SAFETY: By the type invariant the attachment is valid and dynamic; the lock is held.
        to_result(unsafe { bindings::dma_buf_pin(self.raw.as_ptr()) })?;
        self.pins.fetch_add(1, Relaxed);
        // INVARIANT: It was just pinned, and is not mapped.
        Ok(Pinned {
            attach: self,
            maps: Atomic::new(0),
        })
    }
}

impl Drop for Attachment<'_> {
    fn drop(&mut self) {
        if self.pins.load(Relaxed) != 0 {
            mem::forget(self.buf.clone());
            return;
        }

        // SAFETY: By the type invariant the attachment and its device are valid.
        let dev = unsafe { (*self.raw.as_ptr()).dev };
        // SAFETY: By the type invariant they belong together, and nothing is pinned or mapped. The
        // reference to the device is ours.
        unsafe {
            bindings::dma_buf_detach(self.buf.as_raw(), self.raw.as_ptr());
            bindings::put_device(dev);
        }
    }
}

/// A buffer that stays where it is until this is dropped.
///
/// If what it was mapped by was forgotten, it stays for good.
///
/// # Invariants
///
/// The attachment is pinned once for each object. `maps` is the number of its [`MappedSegments`]
/// and [`MappedTable`]s that were not dropped.
pub struct Pinned<'a> {
    attach: &'a Attachment<'a>,
    maps: Atomic<i32>,
}

impl Pinned<'_> {
    /// Maps the buffer for the device, when the fences that `dir` has to wait for are signaled.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no direction, [`ERESTARTSYS`] if a signal is pending, or what the
    /// exporter says.
    pub fn map_segments(&self, dir: DataDirection) -> Result<MappedSegments<'_>> {
        let segs = self.map(dir, bindings::dma_buf_map_segments)?;

        // INVARIANT: It was just mapped.
        Ok(MappedSegments {
            pin: self,
            segs,
            dir,
        })
    }

    /// Does the same as [`Pinned::map_segments`], with a scatterlist.
    pub fn map_table(&self, dir: DataDirection) -> Result<MappedTable<'_>> {
        let table = self.map(dir, bindings::dma_buf_map_attachment)?;

        // INVARIANT: It was just mapped.
        Ok(MappedTable {
            pin: self,
            table,
            dir,
        })
    }

    fn map<T>(
        &self,
        dir: DataDirection,
        map: unsafe extern "C" fn(
            *mut bindings::dma_buf_attachment,
            bindings::dma_data_direction,
        ) -> *mut T,
    ) -> Result<NonNull<T>> {
        // The DMA API takes that for a bug.
        if dir == DataDirection::None {
            return Err(EINVAL);
        }

        let lock = self.attach.buf.lock();

        lock.wait(dir)?;
        // SAFETY: The attachment is valid, dynamic, pinned, and locked.
        let ptr = from_err_ptr(unsafe { map(self.attach.raw.as_ptr(), dir.into()) })?;
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;

        self.maps.fetch_add(1, Relaxed);
        Ok(ptr)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        if self.maps.load(Relaxed) != 0 {
            return;
        }

        let _lock = self.attach.buf.lock();
        // SAFETY: By the type invariant it is pinned, and not mapped any more.
        unsafe { bindings::dma_buf_unpin(self.attach.raw.as_ptr()) };
        self.attach.pins.fetch_sub(1, Relaxed);
    }
}

/// The segments of a buffer that is mapped until this is dropped.
///
/// It takes the reservation lock when it is dropped, so do not hold that.
///
/// # Invariants
///
/// `segs` is what `dma_buf_map_segments()` returned for the attachment and `dir`.
pub struct MappedSegments<'a> {
    pin: &'a Pinned<'a>,
    segs: NonNull<bindings::dma_buf_segments>,
    dir: DataDirection,
}

// SAFETY: A mapping belongs to no thread.
unsafe impl Send for MappedSegments<'_> {}

// SAFETY: All that can be done with a shared reference is to read what never changes.
unsafe impl Sync for MappedSegments<'_> {}

impl Deref for MappedSegments<'_> {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        // SAFETY: By the type invariant they are valid until they are unmapped.
        let segs = unsafe { self.segs.as_ref() };

        // SAFETY: There are `nr` of them, and `Segment` is a transparent wrapper.
        unsafe { slice::from_raw_parts(segs.seg.cast(), segs.nr as usize) }
    }
}

impl Drop for MappedSegments<'_> {
    fn drop(&mut self) {
        let _lock = self.pin.attach.buf.lock();

        // SAFETY: By the type invariant these belong together; it is unmapped only here, with the
        // lock held.
        unsafe {
            bindings::dma_buf_unmap_segments(
                self.pin.attach.raw.as_ptr(),
                self.segs.as_ptr(),
                self.dir.into(),
            )
        };
        self.pin.maps.fetch_sub(1, Relaxed);
    }
}

/// The scatterlist of a buffer that is mapped until this is dropped.
///
/// It takes the reservation lock when it is dropped, so do not hold that.
///
/// # Invariants
///
/// `table` is what `dma_buf_map_attachment()` returned for the attachment and `dir`.
pub struct MappedTable<'a> {
    pin: &'a Pinned<'a>,
    table: NonNull<bindings::sg_table>,
    dir: DataDirection,
}

// SAFETY: A mapping belongs to no thread.
unsafe impl Send for MappedTable<'_> {}

// SAFETY: All that can be done with a shared reference is to read what never changes.
unsafe impl Sync for MappedTable<'_> {}

impl Deref for MappedTable<'_> {
    type Target = SGTable;

    fn deref(&self) -> &SGTable {
        // SAFETY: By the type invariant it is valid until it is unmapped, and nobody writes to it.
        unsafe { SGTable::from_raw(self.table.as_ptr()) }
    }
}

impl Drop for MappedTable<'_> {
    fn drop(&mut self) {
        let _lock = self.pin.attach.buf.lock();

        // SAFETY: By the type invariant these belong together; it is unmapped only here, with the
        // lock held.
        unsafe {
            bindings::dma_buf_unmap_attachment(
                self.pin.attach.raw.as_ptr(),
                self.table.as_ptr(),
                self.dir.into(),
            )
        };
        self.pin.maps.fetch_sub(1, Relaxed);
    }
}
