// SPDX-License-Identifier: GPL-2.0

//! Tests of dma-bufs, from both sides.

use super::*;
use crate::{
    device::{
        Bound,
        Device, //
    },
    dma::{
        DataDirection,
        DmaAddress,
        DmaMask, //
    },
    faux,
    fs::file::flags::O_RDWR,
    io::{
        Io,
        PhysAddr, //
    },
    page::{
        PageBlock,
        PAGE_SIZE, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// Counts what happened.
struct Count(Atomic<i32>);

impl Count {
    fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(Self(Atomic::new(0)), GFP_KERNEL)?)
    }

    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> i32 {
        self.0.load(Relaxed)
    }
}

fn dma_device(bits: u32) -> Result<faux::Registration> {
    faux::Registration::new_dma(c"rust_dma_buf", None, DmaMask::try_new(bits)?)
}

/// Waits until what was put is released, which is done by another thread.
fn released(count: &Count) -> i32 {
    // SAFETY: The test runs in a thread of the kernel, and holds no locks.
    unsafe { bindings::flush_delayed_fput() };
    count.get()
}

/// No warning is printed as long as this lives.
struct Silence(*mut bindings::kunit_suppressed_warning);

impl Silence {
    fn new() -> Self {
        // SAFETY: This is called by tests only.
        Self(unsafe { bindings::kunit_start_suppress_warning(bindings::kunit_get_current_test()) })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // SAFETY: The same test has started it.
        unsafe { bindings::kunit_end_suppress_warning(bindings::kunit_get_current_test(), self.0) };
    }
}

fn pages(orders: &[u32]) -> Result<PageMemory> {
    let mut memory = PageMemory::new();

    for order in orders {
        memory.push(
            PageBlock::alloc(GFP_KERNEL | __GFP_COMP, *order)?,
            GFP_KERNEL,
        )?;
    }
    Ok(memory)
}

/// Returns whether `parts` are, byte by byte, where `ranges` are.
///
/// No IOMMU is between a faux device and memory.
fn same(parts: impl Iterator<Item = (DmaAddress, usize)>, ranges: &[(PhysAddr, usize)]) -> bool {
    let mut ranges = ranges.iter();
    let (mut phys, mut left) = (0, 0);

    for (mut addr, mut len) in parts {
        while len != 0 {
            if left == 0 {
                let Some(range) = ranges.next() else {
                    return false;
                };
                (phys, left) = *range;
            }
            if addr != phys as DmaAddress {
                return false;
            }

            let part = len.min(left);
            addr += part as DmaAddress;
            phys += part as PhysAddr;
            len -= part;
            left -= part;
        }
    }
    left == 0 && ranges.next().is_none()
}

fn places<M: Memory>(memory: &M) -> Result<KVec<(PhysAddr, usize)>> {
    let mut places = KVec::new();

    for range in memory.ranges() {
        places.push((range.addr(), range.len()), GFP_KERNEL)?;
    }
    Ok(places)
}

fn segments<'a>(map: &'a MappedSegments<'_>) -> impl Iterator<Item = (DmaAddress, usize)> + 'a {
    map.iter().map(|seg| (seg.addr(), seg.len()))
}

fn entries<'a>(map: &'a MappedTable<'_>) -> impl Iterator<Item = (DmaAddress, usize)> + 'a {
    map.iter()
        .map(|sg| (sg.dma_address(), sg.dma_len() as usize))
}

/// How often somebody has waited for a fence of [`add_fence`].
static WAITS: Atomic<i32> = Atomic::new(0);

extern "C" fn fence_name(_fence: *mut bindings::dma_fence) -> *const c_char {
    c"rust_kunit".as_char_ptr()
}

/// This is called when somebody begins to wait, and says that the fence is signaled now.
extern "C" fn fence_enable_signaling(_fence: *mut bindings::dma_fence) -> bool {
    WAITS.fetch_add(1, Relaxed);
    false
}

static FENCE_OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
    get_driver_name: Some(fence_name),
    get_timeline_name: Some(fence_name),
    enable_signaling: Some(fence_enable_signaling),
    ..pin_init::zeroed()
};

/// Adds a fence that is not signaled until somebody waits for it.
fn add_fence(lock: &Locked<'_>, usage: bindings::dma_resv_usage) -> Result {
    let resv = lock.buffer().resv();
    let fence: *mut bindings::dma_fence =
        KBox::into_raw(KBox::<bindings::dma_fence>::new_uninit(GFP_KERNEL)?).cast();

    // SAFETY: The memory is ours, and is freed with the last reference. The lock is held. That the
    // reservation object has a reference is why ours is not the last one.
    unsafe {
        bindings::dma_fence_init(fence, &FENCE_OPS, core::ptr::null_mut(), 1, 1);
        let ret = bindings::dma_resv_reserve_fences(resv, 1);
        if ret == 0 {
            bindings::dma_resv_add_fence(resv, fence, usage);
        }
        bindings::refcount_dec(&mut (*fence).refcount.refcount);
        crate::error::to_result(ret)
    }
}

/// An exporter in C that has no memory, and counts what importers have not undone.
mod counted {
    use super::*;

    pub(super) static PINS: Atomic<i32> = Atomic::new(0);
    pub(super) static ACCESSES: Atomic<i32> = Atomic::new(0);
    pub(super) static VMAPS: Atomic<i32> = Atomic::new(0);

    /// Where it says to be mapped; nobody looks.
    static PLACE: Atomic<u64> = Atomic::new(0);

    extern "C" fn pin(_attach: *mut bindings::dma_buf_attachment) -> c_int {
        PINS.fetch_add(1, Relaxed);
        0
    }

    extern "C" fn unpin(_attach: *mut bindings::dma_buf_attachment) {
        PINS.fetch_sub(1, Relaxed);
    }

    extern "C" fn map(
        _attach: *mut bindings::dma_buf_attachment,
        _dir: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        ENXIO.to_ptr()
    }

    extern "C" fn unmap(
        _attach: *mut bindings::dma_buf_attachment,
        _table: *mut bindings::sg_table,
        _dir: bindings::dma_data_direction,
    ) {
    }

    extern "C" fn begin(_buf: *mut bindings::dma_buf, _dir: bindings::dma_data_direction) -> c_int {
        ACCESSES.fetch_add(1, Relaxed);
        0
    }

    extern "C" fn end(_buf: *mut bindings::dma_buf, _dir: bindings::dma_data_direction) -> c_int {
        ACCESSES.fetch_sub(1, Relaxed);
        0
    }

    /// # Safety
    ///
    /// `map` must be valid for writing.
    unsafe extern "C" fn vmap(
        _buf: *mut bindings::dma_buf,
        map: *mut bindings::iosys_map,
    ) -> c_int {
        VMAPS.fetch_add(1, Relaxed);
        let vaddr = core::ptr::from_ref(&PLACE).cast_mut().cast();
        // SAFETY: By the requirement of this function.
        unsafe {
            *map = bindings::iosys_map {
                is_iomem: false,
                __bindgen_anon_1: bindings::iosys_map__bindgen_ty_1 { vaddr },
            }
        };
        0
    }

    extern "C" fn vunmap(_buf: *mut bindings::dma_buf, _map: *mut bindings::iosys_map) {
        VMAPS.fetch_sub(1, Relaxed);
    }

    extern "C" fn release(_buf: *mut bindings::dma_buf) {}

    static OPS: bindings::dma_buf_ops = bindings::dma_buf_ops {
        pin: Some(pin),
        unpin: Some(unpin),
        map_dma_buf: Some(map),
        unmap_dma_buf: Some(unmap),
        begin_cpu_access: Some(begin),
        end_cpu_access: Some(end),
        vmap: Some(vmap),
        vunmap: Some(vunmap),
        release: Some(release),
        ..pin_init::zeroed()
    };

    pub(super) fn export() -> Result<ARef<DmaBuf>> {
        let info = bindings::dma_buf_export_info {
            exp_name: c"rust_kunit_counted".as_char_ptr(),
            ops: &OPS,
            size: PAGE_SIZE,
            flags: O_RDWR as c_int,
            priv_: core::ptr::from_ref(&PLACE).cast_mut().cast(),
            ..pin_init::zeroed()
        };

        // SAFETY: All pointers are those of statics.
        let buf = from_err_ptr(unsafe { bindings::dma_buf_export(&info) })?;
        // SAFETY: It is valid, and we have a reference.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(buf.cast())) })
    }
}

/// Returns how much memory is free, in bytes.
fn free_memory() -> usize {
    let mut info = core::mem::MaybeUninit::<bindings::sysinfo>::zeroed();

    // SAFETY: There is a place for the result, for which zeroes are fine, too.
    let info = unsafe {
        bindings::si_meminfo(info.as_mut_ptr());
        info.assume_init()
    };
    info.freeram as usize * PAGE_SIZE
}

/// An exporter of ordinary memory.
struct Ram<M> {
    memory: M,
    dropped: Arc<Count>,
}

impl<M> Drop for Ram<M> {
    fn drop(&mut self) {
        self.dropped.add();
    }
}

#[vtable]
impl<M: Memory> Exporter for Ram<M> {
    type Memory = M;

    const NAME: &'static CStr = c"rust_kunit";

    fn memory(&self) -> &M {
        &self.memory
    }
}

fn export<M: Memory>(memory: M, size: usize, dropped: &Arc<Count>) -> Result<ARef<DmaBuf>> {
    let dropped = dropped.clone();

    DmaBuf::export(Ok(Ram { memory, dropped }), size, O_RDWR)
}

/// A page, and something that no device reaches that knows less than 64 bits.
struct TooHigh {
    ranges: [PhysRange; 2],
    _page: PageMemory,
}

// SAFETY: The page belongs to the object. Nobody accesses the other, as there are no pages.
unsafe impl Memory for TooHigh {
    const PAGES: bool = false;

    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }
}

/// An exporter that makes up addresses.
struct Elsewhere {
    segments: KVec<(DmaAddress, usize)>,
    mapped: Arc<Count>,
    unmapped: Arc<Count>,
}

struct ElsewhereMap {
    segments: KVec<Segment>,
    unmapped: Arc<Count>,
}

// SAFETY: No device uses the addresses.
unsafe impl AddressMap for ElsewhereMap {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Drop for ElsewhereMap {
    fn drop(&mut self) {
        self.unmapped.add();
    }
}

#[vtable]
impl Exporter for Elsewhere {
    type Memory = ();

    const NAME: &'static CStr = c"rust_kunit_elsewhere";

    fn memory(&self) -> &() {
        &()
    }

    fn attach(&self, _dev: &Device<Bound>, peer2peer: bool) -> Result {
        if self.segments.is_empty() {
            return Err(EBUSY);
        }
        // Importers in Rust never look at pages.
        if peer2peer {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    fn map_segments(
        &self,
        _dev: &Device<Bound>,
        _dir: DataDirection,
        _lock: &Locked<'_>,
    ) -> Result<KBox<dyn AddressMap>> {
        let mut segments = KVec::new();

        for (addr, len) in &self.segments {
            // SAFETY: The tests give no length of 0.
            segments.push(unsafe { Segment::new(*addr, *len) }, GFP_KERNEL)?;
        }
        self.mapped.add();
        Ok(KBox::new(
            ElsewhereMap {
                segments,
                unmapped: self.unmapped.clone(),
            },
            GFP_KERNEL,
        )?)
    }

    fn begin_cpu_access(&self, dir: DataDirection) -> Result {
        if dir == DataDirection::FromDevice {
            Ok(())
        } else {
            Err(EPERM)
        }
    }

    fn end_cpu_access(&self, _dir: DataDirection) -> Result {
        Err(EIO)
    }
}

#[macros::kunit_tests(rust_dma_buf)]
mod cases {
    use super::*;

    #[test]
    fn page_block_is_aligned() -> Result {
        for order in [0, 1, 4] {
            let block = PageBlock::alloc(GFP_KERNEL | __GFP_COMP, order)?;

            assert_eq!(block.order(), order);
            assert_eq!(block.size(), PAGE_SIZE << order);
            assert_eq!(block.phys() as usize % block.size(), 0);

            let (phys, size) = block.into_phys();
            // SAFETY: It was just given away.
            let block = unsafe { PageBlock::from_phys(phys, size) };
            assert_eq!(block.order(), order);
            assert_eq!(block.phys(), phys);
        }
        assert!(PageBlock::alloc(GFP_KERNEL | __GFP_NOWARN, 40).is_err());
        Ok(())
    }

    #[test]
    fn page_memory_keeps_order() -> Result {
        let mut memory = PageMemory::new();
        assert_eq!(memory.size(), 0);

        for order in [2, 0, 3, 0] {
            let block = PageBlock::alloc(GFP_KERNEL | __GFP_COMP, order)?;
            let phys = block.phys();

            memory.push(block, GFP_KERNEL)?;
            let last = &memory.ranges()[memory.ranges().len() - 1];
            assert_eq!(last.addr(), phys);
            assert_eq!(last.len(), PAGE_SIZE << order);
        }
        assert_eq!(memory.ranges().len(), 4);
        assert_eq!(memory.size(), 14 * PAGE_SIZE);
        Ok(())
    }

    #[test]
    fn ranges_grow_only_at_their_end() {
        // SAFETY: These are whole pages. Nobody accesses them.
        let mut range = unsafe { PhysRange::new(16 * PAGE_SIZE as PhysAddr, 2 * PAGE_SIZE) };

        for (page, grows) in [
            (15, false),
            (16, false),
            (17, false),
            (19, false),
            (18, true),
            (18, false),
            (19, true),
        ] {
            let (before, addr) = (range.len(), page * PAGE_SIZE as PhysAddr);

            // SAFETY: These are whole pages. Nobody accesses them.
            assert_eq!(unsafe { range.append(addr, PAGE_SIZE) }, grows);
            assert_eq!(range.len() - before, if grows { PAGE_SIZE } else { 0 });
            assert_eq!(range.addr(), 16 * PAGE_SIZE as PhysAddr);
        }
    }

    #[test]
    fn page_memory_is_given_back() -> Result {
        const ROUNDS: usize = 64;
        let size = pages(&[8, 4, 0])?.size();
        let before = free_memory();

        for _ in 0..ROUNDS {
            drop(pages(&[8, 4, 0])?);
        }
        // Others use memory, too.
        assert!(before.saturating_sub(free_memory()) < ROUNDS / 2 * size);
        Ok(())
    }

    #[test]
    fn export_wants_the_size_of_the_memory() -> Result {
        let dropped = Count::new()?;

        assert!(matches!(
            export(pages(&[1])?, PAGE_SIZE, &dropped),
            Err(EINVAL)
        ));
        assert_eq!(dropped.get(), 1);
        assert!(matches!(export(pages(&[])?, 0, &dropped), Err(EINVAL)));
        assert_eq!(dropped.get(), 2);

        let buf = export(pages(&[1])?, 2 * PAGE_SIZE, &dropped)?;
        assert_eq!(buf.size(), 2 * PAGE_SIZE);
        drop(buf);
        assert_eq!(released(&dropped), 3);
        Ok(())
    }

    #[test]
    fn released_once_by_the_last() -> Result {
        let dropped = Count::new()?;
        let dev = dma_device(64)?;
        let buf = export(pages(&[0])?, PAGE_SIZE, &dropped)?;
        let other = buf.clone();

        drop(buf);
        assert_eq!(released(&dropped), 0);

        let attach = other.attach(dev.as_ref().as_ref())?;
        drop(other);
        assert_eq!(released(&dropped), 0);
        assert_eq!(attach.buffer().size(), PAGE_SIZE);

        drop(attach);
        assert_eq!(released(&dropped), 1);
        Ok(())
    }

    #[test]
    fn segments_cover_the_buffer_in_order() -> Result {
        let dropped = Count::new()?;
        let dev = dma_device(64)?;
        let memory = pages(&[2, 0, 3, 1, 0])?;
        let (places, size) = (places(&memory)?, memory.size());
        let buf = export(memory, size, &dropped)?;
        let attach = buf.attach(dev.as_ref().as_ref())?;
        let pin = attach.pin()?;

        for dir in [
            DataDirection::ToDevice,
            DataDirection::FromDevice,
            DataDirection::Bidirectional,
        ] {
            let map = pin.map_segments(dir)?;

            assert!(same(segments(&map), &places));
            assert!(map.iter().all(|seg| seg.len() != 0));
        }
        assert!(matches!(pin.map_segments(DataDirection::None), Err(EINVAL)));
        Ok(())
    }

    #[test]
    fn table_is_the_same_as_segments() -> Result {
        let dropped = Count::new()?;
        let dev = dma_device(64)?;
        let memory = pages(&[0, 2, 0, 1])?;
        let (places, size) = (places(&memory)?, memory.size());
        let buf = export(memory, size, &dropped)?;
        let attach = buf.attach(dev.as_ref().as_ref())?;
        let pin = attach.pin()?;

        // Both at once, and in an order that is not that of a stack.
        let segs = pin.map_segments(DataDirection::Bidirectional)?;
        let table = pin.map_table(DataDirection::Bidirectional)?;

        assert!(entries(&table).eq(segments(&segs)));
        drop(segs);
        assert!(same(entries(&table), &places));
        let segs = pin.map_segments(DataDirection::ToDevice)?;
        drop(table);
        assert!(same(segments(&segs), &places));
        assert!(matches!(pin.map_table(DataDirection::None), Err(EINVAL)));
        Ok(())
    }

    #[test]
    fn table_has_entries_below_4_gib() -> Result {
        const LONG: usize = if cfg!(CONFIG_64BIT) { 5 << 30 } else { 1 << 30 };

        let dev = dma_device(64)?;
        let mut segs = KVec::new();
        segs.push((0x10_0000, LONG), GFP_KERNEL)?;
        segs.push((0x8000, PAGE_SIZE), GFP_KERNEL)?;
        let (mapped, unmapped) = (Count::new()?, Count::new()?);
        let data = Elsewhere {
            segments: segs,
            mapped: mapped.clone(),
            unmapped: unmapped.clone(),
        };
        let buf = DmaBuf::export(Ok(data), LONG + PAGE_SIZE, O_RDWR)?;
        let attach = buf.attach(dev.as_ref().as_ref())?;
        let pin = attach.pin()?;

        let map = pin.map_segments(DataDirection::ToDevice)?;
        assert_eq!(map.len(), 2);
        drop(map);

        let table = pin.map_table(DataDirection::ToDevice)?;
        assert!(entries(&table).all(|(addr, len)| {
            len != 0 && addr % PAGE_SIZE as DmaAddress == 0 && len.is_multiple_of(PAGE_SIZE)
        }));
        assert!(same(
            entries(&table),
            &[(0x10_0000, LONG), (0x8000, PAGE_SIZE)]
        ));
        assert_eq!(
            entries(&table).count(),
            if cfg!(CONFIG_64BIT) { 3 } else { 2 }
        );
        assert_eq!(mapped.get(), 2);
        assert_eq!(unmapped.get(), 1);
        drop(table);
        assert_eq!(unmapped.get(), 2);
        Ok(())
    }

    #[test]
    fn addresses_of_the_exporter_must_fit() -> Result {
        let dev = dma_device(64)?;
        let mut segs = KVec::new();
        segs.push((0x10_0000, PAGE_SIZE), GFP_KERNEL)?;
        let (mapped, unmapped) = (Count::new()?, Count::new()?);
        let data = Elsewhere {
            segments: segs,
            mapped: mapped.clone(),
            unmapped: unmapped.clone(),
        };
        let buf = DmaBuf::export(Ok(data), 2 * PAGE_SIZE, O_RDWR)?;
        let attach = buf.attach(dev.as_ref().as_ref())?;
        let pin = attach.pin()?;

        assert!(matches!(
            pin.map_segments(DataDirection::ToDevice),
            Err(EINVAL)
        ));
        assert!(matches!(
            pin.map_table(DataDirection::ToDevice),
            Err(EINVAL)
        ));
        assert_eq!(mapped.get(), 2);
        assert_eq!(unmapped.get(), 2);
        Ok(())
    }

    #[test]
    fn exporter_may_refuse() -> Result {
        let dev = dma_device(64)?;
        let data = Elsewhere {
            segments: KVec::new(),
            mapped: Count::new()?,
            unmapped: Count::new()?,
        };
        let buf = DmaBuf::export(Ok(data), PAGE_SIZE, O_RDWR)?;

        assert!(matches!(buf.attach(dev.as_ref().as_ref()), Err(EBUSY)));
        // It has no pages to map.
        assert!(matches!(buf.vmap(), Err(EINVAL)));
        assert!(matches!(
            buf.begin_cpu_access(DataDirection::ToDevice),
            Err(EPERM)
        ));
        let access = buf.begin_cpu_access(DataDirection::FromDevice)?;
        assert!(matches!(access.end(), Err(EIO)));
        Ok(())
    }

    #[test]
    fn failing_map_leaves_nothing() -> Result {
        let dropped = Count::new()?;
        let low = dma_device(32)?;
        let memory = pages(&[0])?;
        let first = memory.ranges()[0].addr();
        // SAFETY: Both are a page long, and aligned.
        let ranges = unsafe {
            [
                PhysRange::new(first, PAGE_SIZE),
                PhysRange::new((1 as PhysAddr) << (PhysAddr::BITS - 4), PAGE_SIZE),
            ]
        };
        let buf = export(
            TooHigh {
                ranges,
                _page: memory,
            },
            2 * PAGE_SIZE,
            &dropped,
        )?;
        let attach = buf.attach(low.as_ref().as_ref())?;
        let pin = attach.pin()?;

        let silence = Silence::new();
        for _ in 0..2 {
            assert!(pin.map_segments(DataDirection::Bidirectional).is_err());
            assert!(pin.map_table(DataDirection::Bidirectional).is_err());
        }
        drop(silence);
        // There is no mapping that this would try to sync.
        buf.begin_cpu_access(DataDirection::FromDevice)?.end()?;

        drop(pin);
        drop(attach);
        drop(buf);
        assert_eq!(released(&dropped), 1);
        Ok(())
    }

    #[test]
    fn importers_undo_what_they_do() -> Result {
        let dev = dma_device(64)?;
        let buf = counted::export()?;

        let attach = buf.attach(dev.as_ref().as_ref())?;
        let (one, two) = (attach.pin()?, attach.pin()?);
        assert_eq!(counted::PINS.load(Relaxed), 2);
        assert!(matches!(one.map_table(DataDirection::ToDevice), Err(ENXIO)));
        drop(one);
        assert_eq!(counted::PINS.load(Relaxed), 1);
        drop(two);
        assert_eq!(counted::PINS.load(Relaxed), 0);

        let access = buf.begin_cpu_access(DataDirection::ToDevice)?;
        assert_eq!(counted::ACCESSES.load(Relaxed), 1);
        drop(access);
        assert_eq!(counted::ACCESSES.load(Relaxed), 0);
        buf.begin_cpu_access(DataDirection::ToDevice)?.end()?;
        assert_eq!(counted::ACCESSES.load(Relaxed), 0);

        let map = buf.vmap()?;
        assert_eq!(counted::VMAPS.load(Relaxed), 1);
        drop(map);
        assert_eq!(counted::VMAPS.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn cpu_access_while_mapped() -> Result {
        let dropped = Count::new()?;
        let one = dma_device(64)?;
        let two = faux::Registration::new_dma(c"rust_dma_buf_2", None, DmaMask::new::<64>())?;
        let memory = pages(&[1, 0])?;
        let size = memory.size();
        let buf = export(memory, size, &dropped)?;
        let attach = buf.attach(one.as_ref().as_ref())?;
        let pin = attach.pin()?;
        let other_attach = buf.attach(two.as_ref().as_ref())?;
        let other_pin = other_attach.pin()?;

        let map = pin.map_segments(DataDirection::Bidirectional)?;
        let table = other_pin.map_table(DataDirection::Bidirectional)?;

        for dir in [
            DataDirection::ToDevice,
            DataDirection::FromDevice,
            DataDirection::Bidirectional,
        ] {
            buf.begin_cpu_access(dir)?.end()?;
            drop(buf.begin_cpu_access(dir)?);
        }
        drop(map);
        let access = buf.begin_cpu_access(DataDirection::FromDevice)?;
        drop(table);
        access.end()?;
        assert!(matches!(
            buf.begin_cpu_access(DataDirection::None),
            Err(EINVAL)
        ));
        Ok(())
    }

    #[test]
    fn vmap_shows_the_same_memory() -> Result {
        let dropped = Count::new()?;
        let memory = pages(&[0, 2, 0])?;
        let size = memory.size();
        let buf = export(memory, size, &dropped)?;
        let access = buf.begin_cpu_access(DataDirection::Bidirectional)?;
        let map = buf.vmap()?;

        assert_eq!((&map).size(), size);
        for offset in (0..size).step_by(PAGE_SIZE) {
            assert_eq!((&map).try_read32(offset)?, 0);
            (&map).try_write32(offset as u32 + 1, offset)?;
            (&map).try_write8(0x5a, offset + PAGE_SIZE - 1)?;
        }
        assert!((&map).try_write8(0, size).is_err());

        // There is only one mapping for the kernel, whoever asks.
        let again = buf.vmap()?;
        drop(map);
        (&again).try_write8(0xa5, 1)?;
        access.end()?;
        drop(again);

        let access = buf.begin_cpu_access(DataDirection::FromDevice)?;
        let map = buf.vmap()?;
        assert_eq!((&map).try_read8(1)?, 0xa5);
        for offset in (PAGE_SIZE..size).step_by(PAGE_SIZE) {
            assert_eq!((&map).try_read32(offset)?, offset as u32 + 1);
            assert_eq!((&map).try_read8(offset + PAGE_SIZE - 1)?, 0x5a);
        }
        drop(map);
        access.end()?;
        Ok(())
    }

    #[test]
    fn lock_and_fences() -> Result {
        let dropped = Count::new()?;
        let buf = export(pages(&[0])?, PAGE_SIZE, &dropped)?;
        let lock = buf.lock();

        // There are none.
        lock.wait(DataDirection::ToDevice)?;
        lock.wait(DataDirection::FromDevice)?;
        assert!(core::ptr::eq(lock.buffer(), &*buf));
        drop(lock);
        drop(buf.lock());
        Ok(())
    }

    #[test]
    fn fences_are_waited_for() -> Result {
        use bindings::{
            dma_resv_usage_DMA_RESV_USAGE_BOOKKEEP as BOOKKEEP,
            dma_resv_usage_DMA_RESV_USAGE_READ as READ,
            dma_resv_usage_DMA_RESV_USAGE_WRITE as WRITE, //
        };
        use DataDirection::{
            Bidirectional,
            FromDevice,
            ToDevice, //
        };

        let dropped = Count::new()?;
        let dev = dma_device(64)?;

        for (usage, dir, waits) in [
            (WRITE, ToDevice, 1),
            (WRITE, FromDevice, 1),
            // Readers do not wait for readers.
            (READ, ToDevice, 0),
            (READ, FromDevice, 1),
            (READ, Bidirectional, 1),
            (BOOKKEEP, FromDevice, 0),
        ] {
            let buf = export(pages(&[0])?, PAGE_SIZE, &dropped)?;
            let before = WAITS.load(Relaxed);
            {
                let lock = buf.lock();

                add_fence(&lock, usage)?;
                lock.wait(dir)?;
            }
            assert_eq!(WAITS.load(Relaxed) - before, waits);

            // And so do those who map it.
            let buf = export(pages(&[0])?, PAGE_SIZE, &dropped)?;
            let attach = buf.attach(dev.as_ref().as_ref())?;
            let pin = attach.pin()?;
            add_fence(&buf.lock(), usage)?;
            drop(pin.map_segments(dir)?);
            assert_eq!(WAITS.load(Relaxed) - before, 2 * waits);
        }
        Ok(())
    }

    #[cfg(CONFIG_DMABUF_HEAPS)]
    #[test]
    fn heap_can_be_registered_again() -> Result {
        struct CountedHeap(Arc<Count>);

        impl heap::Heap for CountedHeap {
            fn allocate(&self, len: usize, fd_flags: u32) -> Result<ARef<DmaBuf>> {
                let memory = pages(&[0])?;

                DmaBuf::export(
                    Ok(Ram {
                        memory,
                        dropped: self.0.clone(),
                    }),
                    len,
                    fd_flags,
                )
            }
        }

        impl Drop for CountedHeap {
            fn drop(&mut self) {
                self.0.add();
            }
        }

        let dropped = Count::new()?;
        // More often than there may be heaps at a time.
        const TIMES: i32 = 200;

        for n in 0..TIMES {
            let heap = heap::Registration::new(c"rust_kunit", Ok(CountedHeap(dropped.clone())))?;

            assert_eq!(dropped.get(), n);
            drop(heap);
            assert_eq!(dropped.get(), n + 1);
        }
        assert!(heap::Registration::new(c"", Ok(CountedHeap(dropped.clone()))).is_err());
        assert_eq!(dropped.get(), TIMES + 1);
        Ok(())
    }
}
