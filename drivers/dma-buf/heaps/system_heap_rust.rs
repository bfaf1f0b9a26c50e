// SPDX-License-Identifier: GPL-2.0

//! The system heap: dma-bufs of pages from the page allocator.
//!
//! C version of this driver: [`drivers/dma-buf/heaps/system_heap.c`](./system_heap.c)

use kernel::{
    alloc::Flags,
    cc_platform,
    dma_buf::{
        heap::{
            self,
            Heap,
            Registration, //
        },
        DmaBuf,
        Exporter,
        PageMemory,
        SharedPageMemory, //
    },
    page::{
        PageBlock,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef, //
};

module! {
    type: SystemHeapModule,
    name: "system_heap",
    description: "DMA-BUF System Heap",
    license: "GPL",
    imports_ns: ["DMA_BUF", "DMA_BUF_HEAP"],
}

/// 2 MiB, 64 KiB and 4 KiB are what many IOMMUs have, and 1 MiB some. The larger they are, and the
/// better aligned, the less time is spent with page tables, and with misses of the TLB.
const ORDERS: [u32; 4] = [9, 8, 4, 0];

/// Large blocks are welcome, but not worth any effort; single pages there must be.
fn flags(order: u32) -> Flags {
    let mut flags = GFP_HIGHUSER;

    if order != 0 {
        flags = (flags | __GFP_NOWARN | __GFP_NORETRY) & !__GFP_RECLAIM | __GFP_COMP;
    }
    if heap::mem_accounting() {
        flags = flags | __GFP_ACCOUNT;
    }
    flags
}

fn alloc_largest(size: usize, max_order: u32) -> Result<PageBlock> {
    for order in ORDERS {
        if order <= max_order && PAGE_SIZE << order <= size {
            if let Ok(block) = PageBlock::alloc(flags(order), order) {
                return Ok(block);
            }
        }
    }
    Err(ENOMEM)
}

fn alloc_memory(len: usize) -> Result<PageMemory> {
    let mut memory = PageMemory::new();
    let mut max_order = ORDERS[0];

    while memory.size() < len {
        // Whoever is killed, perhaps for using too much memory, does not need more.
        if current!().fatal_signal_pending() {
            return Err(EINTR);
        }

        let block = alloc_largest(len - memory.size(), max_order)?;
        // What was not there for this block will not be there for the next.
        max_order = block.order();
        memory.push(block, GFP_KERNEL)?;
    }
    Ok(memory)
}

struct Buffer(PageMemory);

#[vtable]
impl Exporter for Buffer {
    type Memory = PageMemory;

    const NAME: &'static CStr = c"system";

    fn memory(&self) -> &PageMemory {
        &self.0
    }
}

struct SystemHeap;

impl Heap for SystemHeap {
    fn allocate(&self, len: usize, fd_flags: u32) -> Result<ARef<DmaBuf>> {
        DmaBuf::export(alloc_memory(len).map(Buffer), len, fd_flags)
    }
}

/// The same with memory that a confidential guest shares with its host.
struct SharedBuffer(SharedPageMemory);

#[vtable]
impl Exporter for SharedBuffer {
    type Memory = SharedPageMemory;

    const NAME: &'static CStr = c"system_cc_shared";

    fn memory(&self) -> &SharedPageMemory {
        &self.0
    }
}

struct SharedHeap;

impl Heap for SharedHeap {
    fn allocate(&self, len: usize, fd_flags: u32) -> Result<ARef<DmaBuf>> {
        let memory = alloc_memory(len).and_then(SharedPageMemory::new);

        DmaBuf::export(memory.map(SharedBuffer), len, fd_flags)
    }
}

struct SystemHeapModule {
    _system: Registration<SystemHeap>,
    _shared: Option<Registration<SharedHeap>>,
}

impl kernel::Module for SystemHeapModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let system = Registration::new(Buffer::NAME, Ok(SystemHeap))?;
        let shared = if cfg!(CONFIG_DMABUF_HEAPS_SYSTEM_CC_SHARED)
            && !cfg!(CONFIG_HIGHMEM)
            && cc_platform::has(cc_platform::Attr::MemEncrypt)
        {
            // The other one does without it.
            Registration::new(SharedBuffer::NAME, Ok(SharedHeap))
                .inspect_err(|err| pr_err!("no heap of shared memory: {err:?}\n"))
                .ok()
        } else {
            None
        };

        Ok(Self {
            _system: system,
            _shared: shared,
        })
    }
}

#[cfg(CONFIG_DMABUF_HEAPS_SYSTEM_RUST_KUNIT_TEST)]
#[kunit_tests(rust_system_heap)]
mod tests {
    use super::*;
    use kernel::{
        dma::{
            DataDirection,
            DmaMask, //
        },
        dma_buf::Memory,
        faux,
        fs::file::flags::O_RDWR,
        io::Io, //
    };

    #[test]
    fn memory_is_of_the_right_orders() -> Result {
        for len in [1, 15, 16, 17, 255, 256, 257, 512 * 2 + 256 + 16 * 2 + 5] {
            let memory = alloc_memory(len * PAGE_SIZE)?;
            let mut last = usize::MAX;

            assert_eq!(memory.size(), len * PAGE_SIZE);
            for range in memory.ranges() {
                assert!(ORDERS.iter().any(|order| range.len() == PAGE_SIZE << order));
                assert!(range.len() <= last);
                last = range.len();
            }
        }
        Ok(())
    }

    #[test]
    fn no_block_is_larger_than_asked_for() -> Result {
        assert_eq!(alloc_largest(PAGE_SIZE << 9, 3)?.order(), 0);
        assert_eq!(alloc_largest((PAGE_SIZE << 4) - 1, 9)?.order(), 0);
        assert!(alloc_largest(PAGE_SIZE << 4, 4)?.order() <= 4);
        assert!(alloc_largest(PAGE_SIZE - 1, 9).is_err());
        Ok(())
    }

    #[test]
    fn buffers_are_zeroed() -> Result {
        let size = 37 * PAGE_SIZE;

        // What is freed first is likely to be allocated next.
        for _ in 0..4 {
            let buf = SystemHeap.allocate(size, O_RDWR)?;
            let map = buf.vmap()?;
            let access = buf.begin_cpu_access(DataDirection::Bidirectional)?;

            for offset in (0..size).step_by(64) {
                assert_eq!((&map).try_read64(offset)?, 0);
                (&map).try_write64(u64::MAX, offset)?;
            }
            access.end()?;
        }
        Ok(())
    }

    #[test]
    fn devices_see_all_of_it() -> Result {
        let dev = faux::Registration::new_dma(c"rust_system_heap", None, DmaMask::new::<64>())?;
        let size = 273 * PAGE_SIZE;
        let buf = SystemHeap.allocate(size, O_RDWR)?;
        let attach = buf.attach(dev.as_ref().as_ref())?;
        let pin = attach.pin()?;
        let map = pin.map_segments(DataDirection::FromDevice)?;

        assert_eq!(buf.size(), size);
        assert_eq!(map.iter().map(|seg| seg.len()).sum::<usize>(), size);
        buf.begin_cpu_access(DataDirection::FromDevice)?.end()?;
        Ok(())
    }
}
