// SPDX-License-Identifier: GPL-2.0

//! Buffers that are mapped for a device, as seen by the exporter.

use super::PhysRange;
use crate::{
    bindings,
    container_of,
    dma::{
        Attrs,
        DataDirection,
        DmaAddress, //
    },
    error::{
        from_err_ptr,
        to_result, //
    },
    list::{
        impl_list_arc_safe,
        impl_list_item,
        ListArc,
        ListLinks, //
    },
    page::PAGE_MASK,
    prelude::*,
    types::Opaque, //
};
use core::{
    ptr::NonNull,
    slice, //
};

/// A part of a buffer that a device sees as one.
///
/// # Invariants
///
/// The length is not 0.
#[repr(transparent)]
pub struct Segment(bindings::dma_buf_segment);

impl Segment {
    /// Makes a segment of `len` bytes at `addr`, for an [`AddressMap`].
    ///
    /// # Safety
    ///
    /// `len` must not be 0.
    #[inline]
    pub const unsafe fn new(addr: DmaAddress, len: usize) -> Self {
        // INVARIANT: The caller guarantees it.
        Self(bindings::dma_buf_segment { addr, len })
    }

    /// Returns the DMA address of the first byte.
    #[inline]
    pub fn addr(&self) -> DmaAddress {
        self.0.addr
    }

    /// Returns the length in bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len
    }
}

/// A buffer mapped for a device by an exporter that knows the addresses by itself.
///
/// It is dropped to unmap the buffer, with the reservation lock held.
///
/// # Safety
///
/// The [segments](AddressMap::segments) must cover the buffer in order, from its first byte to its
/// last, at addresses that the device it was made for may access until the object is dropped. They
/// must not change or move.
pub unsafe trait AddressMap: Send + Sync {
    /// Returns where the buffer is for the device.
    fn segments(&self) -> &[Segment];
}

/// Physical ranges, mapped for the device of an attachment.
///
/// # Invariants
///
/// `segs` is what `dma_buf_phys_map_segments()` returned for `attach` and `dir`; `attach` outlives
/// the object.
pub(super) struct PhysMap {
    attach: NonNull<bindings::dma_buf_attachment>,
    segs: NonNull<bindings::dma_buf_segments>,
    dir: bindings::dma_data_direction,
}

impl Drop for PhysMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariant these belong together; it is unmapped only here. Objects of
        // this type are made and dropped with the reservation lock held.
        unsafe {
            bindings::dma_buf_phys_unmap_segments(
                self.attach.as_ptr(),
                self.segs.as_ptr(),
                self.dir,
            )
        };
    }
}

/// Where the addresses of a mapping come from.
pub(super) enum Source {
    Phys(PhysMap),
    Exporter(KBox<dyn AddressMap>),
}

impl Source {
    /// Maps `ranges` for the device of `attach`.
    ///
    /// # Safety
    ///
    /// `attach` must be valid until the object is dropped, and its reservation lock be held now and
    /// then. The memory at `ranges` must be there as long.
    pub(super) unsafe fn phys(
        attach: NonNull<bindings::dma_buf_attachment>,
        ranges: &[PhysRange],
        dir: bindings::dma_data_direction,
        attrs: Attrs,
    ) -> Result<Self> {
        // SAFETY: The attachment is valid and locked, `PhysRange` is a transparent wrapper of
        // `struct phys_vec`.
        let segs = from_err_ptr(unsafe {
            bindings::dma_buf_phys_map_segments(
                attach.as_ptr(),
                ranges.as_ptr().cast(),
                ranges.len(),
                dir,
                attrs.as_raw(),
            )
        })?;

        // INVARIANT: It was just mapped.
        Ok(Self::Phys(PhysMap {
            attach,
            // SAFETY: It is not an error, so it points to segments.
            segs: unsafe { NonNull::new_unchecked(segs) },
            dir,
        }))
    }

    fn segments(&self) -> &[Segment] {
        match self {
            Self::Phys(map) => {
                // SAFETY: By the type invariant of `PhysMap` they are valid until it is dropped.
                let segs = unsafe { map.segs.as_ref() };

                // SAFETY: There are `nr` of them, `Segment` is a transparent wrapper, and no
                // segment is empty.
                unsafe { slice::from_raw_parts(segs.seg.cast(), segs.nr as usize) }
            }
            Self::Exporter(map) => map.segments(),
        }
    }
}

/// A scatterlist without pages.
///
/// # Invariants
///
/// It is either zeroed, or has `nents` entries allocated, and `orig_nents` is 0.
struct DmaTable(Opaque<bindings::sg_table>);

/// The longest entry of a scatterlist that keeps the next one aligned to a page.
const MAX_ENTRY: usize = u32::MAX as usize & PAGE_MASK;

impl DmaTable {
    fn empty() -> Self {
        // INVARIANT: It is zeroed.
        Self(Opaque::zeroed())
    }

    fn new(segments: &[Segment]) -> Result<Self> {
        let mut nents = 0usize;
        for seg in segments {
            nents = nents
                .checked_add(seg.len().div_ceil(MAX_ENTRY))
                .ok_or(EINVAL)?;
        }

        let table = Self::empty();
        // SAFETY: The table may be overwritten.
        to_result(unsafe {
            bindings::sg_alloc_table(table.0.get(), nents.try_into()?, GFP_KERNEL.as_raw())
        })?;

        // SAFETY: The table is initialised now, and nobody else knows it.
        let raw = unsafe { &mut *table.0.get() };
        let mut sg = raw.sgl;

        for seg in segments {
            let mut done = 0;
            while done < seg.len() {
                let len = MAX_ENTRY.min(seg.len() - done);

                // SAFETY: As many entries were allocated as this loop fills.
                unsafe {
                    bindings::sg_set_dma(sg, seg.addr() + done as DmaAddress, len as c_uint);
                    sg = bindings::sg_next(sg);
                }
                done += len;
            }
        }

        // INVARIANT: This says that there is nothing for the CPU in it.
        raw.orig_nents = 0;
        Ok(table)
    }
}

impl Drop for DmaTable {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the table is valid, and as it was allocated once
        // `orig_nents` is restored. Nothing happens to one that is zeroed.
        unsafe {
            let raw = self.0.get();

            (*raw).orig_nents = (*raw).nents;
            bindings::sg_free_table(raw);
        }
    }
}

/// What an importer wants to know of a mapping.
#[derive(PartialEq)]
pub(super) enum Form {
    Segments,
    Table,
}

/// A buffer mapped for the device of an attachment.
///
/// # Invariants
///
/// `segs` describes the segments of `source`.
#[pin_data]
pub(super) struct Mapping {
    #[pin]
    links: ListLinks,
    dev: NonNull<bindings::device>,
    segs: Opaque<bindings::dma_buf_segments>,
    // It tells of `source`, and goes first.
    table: DmaTable,
    source: Source,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Mapping { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Mapping { using ListLinks { self.links }; }
}

// SAFETY: The pointers are those of objects that outlive the mapping and belong to no thread.
unsafe impl Send for Mapping {}

// SAFETY: All that can be done with a shared reference is to read what never changes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes a mapping of `size` bytes for `dev`.
    ///
    /// # Safety
    ///
    /// `dev` must be the device that `source` is for, and valid until the mapping is dropped.
    pub(super) unsafe fn new(
        dev: NonNull<bindings::device>,
        source: Source,
        size: usize,
        form: Form,
    ) -> Result<ListArc<Self>> {
        let segments = source.segments();
        let mut total = 0usize;
        for seg in segments {
            total = total.checked_add(seg.len()).ok_or(EINVAL)?;
        }
        if total != size {
            return Err(EINVAL);
        }

        let table = match form {
            Form::Segments => DmaTable::empty(),
            Form::Table => DmaTable::new(segments)?,
        };
        let segs = bindings::dma_buf_segments {
            seg: segments.as_ptr().cast(),
            nr: segments.len().try_into()?,
        };

        // INVARIANT: The segments of `source` do not move with it.
        ListArc::pin_init(
            try_pin_init!(Self {
                links <- ListLinks::new(),
                dev,
                segs: Opaque::new(segs),
                table,
                source,
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the segments as importers get them.
    pub(super) fn as_segments(&self) -> *mut bindings::dma_buf_segments {
        self.segs.get()
    }

    /// Returns the scatterlist as importers get it.
    pub(super) fn as_table(&self) -> *mut bindings::sg_table {
        self.table.0.get()
    }

    /// # Safety
    ///
    /// `segs` must come from [`Mapping::as_segments`] of a mapping that is valid for `'a`.
    pub(super) unsafe fn from_segments<'a>(segs: *mut bindings::dma_buf_segments) -> &'a Self {
        // SAFETY: The caller guarantees it.
        unsafe { &*container_of!(Opaque::cast_from(segs), Self, segs) }
    }

    /// # Safety
    ///
    /// `table` must come from [`Mapping::as_table`] of a mapping that is valid for `'a`.
    pub(super) unsafe fn from_table<'a>(table: *mut bindings::sg_table) -> &'a Self {
        // SAFETY: The caller guarantees it, and `DmaTable` has nothing but the table.
        unsafe { &*container_of!(table.cast::<DmaTable>(), Self, table) }
    }

    /// Makes what the device wrote to `ranges` visible to the CPU.
    pub(super) fn sync_for_cpu(&self, ranges: &[PhysRange], dir: DataDirection) {
        self.sync(ranges, dir, |addr, len, dir| {
            // SAFETY: The device is valid and the piece is mapped for it, both by `Self::new()`.
            unsafe { bindings::dma_sync_single_for_cpu(self.dev.as_ptr(), addr, len, dir) }
        });
    }

    /// Makes what the CPU wrote to `ranges` visible to the device.
    pub(super) fn sync_for_device(&self, ranges: &[PhysRange], dir: DataDirection) {
        self.sync(ranges, dir, |addr, len, dir| {
            // SAFETY: The device is valid and the piece is mapped for it, both by `Self::new()`.
            unsafe { bindings::dma_sync_single_for_device(self.dev.as_ptr(), addr, len, dir) }
        });
    }

    /// Calls `f` for each piece of the buffer, with what the device may do of `dir`.
    fn sync(
        &self,
        ranges: &[PhysRange],
        dir: DataDirection,
        f: impl Fn(DmaAddress, usize, bindings::dma_data_direction),
    ) {
        let Source::Phys(map) = &self.source else {
            return;
        };
        let Some(dir) = sync_dir(map.dir, dir.into()) else {
            return;
        };
        // Not `dma_dev_need_sync()`, which is true for any device to be debugged: the debugging of
        // DMA does not know mappings that were linked to a range of IOVA.
        // SAFETY: By `Self::new()`, the device is valid.
        if unsafe { bindings::dev_dma_skip_sync(self.dev.as_ptr()) } {
            return;
        }

        for_each_piece(ranges, self.source.segments(), |addr, len| {
            f(addr, len, dir)
        });
    }
}

/// Returns what a device may do of `dir` with memory that is mapped for `own`; if that is nothing,
/// there is nothing to be made visible.
fn sync_dir(
    own: bindings::dma_data_direction,
    dir: bindings::dma_data_direction,
) -> Option<bindings::dma_data_direction> {
    let both = DataDirection::Bidirectional.into();

    if own == both {
        Some(dir)
    } else {
        (dir == own || dir == both).then_some(own)
    }
}

/// Calls `f` for each part of a buffer that is in one piece for both, the CPU in `ranges` and the
/// device in `segments`.
fn for_each_piece(
    ranges: &[PhysRange],
    segments: &[Segment],
    mut f: impl FnMut(DmaAddress, usize),
) {
    let mut segments = segments.iter();
    let (mut addr, mut left) = (0, 0);

    for range in ranges {
        let mut len = range.len();

        while len != 0 {
            if left == 0 {
                let Some(seg) = segments.next() else {
                    return;
                };
                (addr, left) = (seg.addr(), seg.len());
            }

            let part = len.min(left);
            f(addr, part);
            // The end of the last one may be that of all addresses.
            addr = addr.wrapping_add(part as DmaAddress);
            left -= part;
            len -= part;
        }
    }
}

#[cfg(CONFIG_RUST_DMA_BUF_KUNIT_TEST)]
#[macros::kunit_tests(rust_dma_buf_mapping)]
mod tests {
    use super::*;
    use crate::{
        io::PhysAddr,
        page::PAGE_SIZE, //
    };

    #[test]
    fn only_what_the_device_may_do_is_synced() {
        use DataDirection::{
            Bidirectional as Both,
            FromDevice as From,
            ToDevice as To, //
        };

        for (own, dir, expected) in [
            (To, To, Some(To)),
            (To, From, None),
            (To, Both, Some(To)),
            (From, To, None),
            (From, From, Some(From)),
            (From, Both, Some(From)),
            (Both, To, Some(To)),
            (Both, From, Some(From)),
            (Both, Both, Some(Both)),
        ] {
            assert_eq!(sync_dir(own.into(), dir.into()), expected.map(Into::into));
        }
    }

    /// Pages of memory, and pages of the device, to pieces: the address of each and its length.
    fn pieces(
        ranges: &[usize],
        segments: &[(DmaAddress, usize)],
    ) -> Result<KVec<(DmaAddress, usize)>> {
        const PAGE: DmaAddress = PAGE_SIZE as DmaAddress;
        let (mut phys, mut segs, mut pieces) = (KVec::new(), KVec::new(), KVec::new());

        for pages in ranges {
            let addr = (phys.len() * 64 * PAGE_SIZE) as PhysAddr;
            // SAFETY: These are whole pages. Nobody accesses them.
            let range = unsafe { PhysRange::new(addr, pages * PAGE_SIZE) };
            phys.push(range, GFP_KERNEL)?;
        }
        for (page, pages) in segments {
            // SAFETY: None is empty.
            let seg = unsafe { Segment::new(page * PAGE, pages * PAGE_SIZE) };
            segs.push(seg, GFP_KERNEL)?;
        }

        let mut result = Ok(());
        for_each_piece(&phys, &segs, |addr, len| {
            if let Err(err) = pieces.push((addr / PAGE, len / PAGE_SIZE), GFP_KERNEL) {
                result = Err(err);
            }
        });
        result?;
        Ok(pieces)
    }

    #[test]
    fn pieces_end_where_ranges_and_segments_do() -> Result {
        assert_eq!(pieces(&[1], &[(7, 1)])?[..], [(7, 1)]);
        // Several ranges in a segment, and several segments in a range.
        assert_eq!(
            pieces(&[2, 1, 4], &[(100, 7)])?[..],
            [(100, 2), (102, 1), (103, 4)]
        );
        assert_eq!(
            pieces(&[7], &[(9, 2), (3, 1), (50, 4)])?[..],
            [(9, 2), (3, 1), (50, 4)]
        );
        // Neither is part of the other.
        assert_eq!(
            pieces(&[3, 1, 2], &[(20, 1), (10, 4), (30, 1)])?[..],
            [(20, 1), (10, 2), (12, 1), (13, 1), (30, 1)]
        );
        // To the end of all addresses.
        let last = DmaAddress::MAX / PAGE_SIZE as DmaAddress;
        assert_eq!(
            pieces(&[1, 1], &[(last - 1, 2)])?[..],
            [(last - 1, 1), (last, 1)]
        );
        Ok(())
    }
}
