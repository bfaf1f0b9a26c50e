// SPDX-License-Identifier: GPL-2.0

//! Memory that dma-bufs can be made of.

use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    dma::{
        attrs::{
            DMA_ATTR_CC_SHARED,
            DMA_ATTR_MMIO, //
        },
        Attrs, //
    },
    error::to_result,
    io::PhysAddr,
    page::{
        PageBlock,
        PAGE_SHIFT, //
    },
    prelude::*, //
};

/// A range of physical memory.
///
/// # Examples
///
/// ```
/// use kernel::{
///     dma_buf::PhysRange,
///     page::PAGE_SIZE, //
/// };
///
/// // SAFETY: These are whole pages.
/// let range = unsafe { PhysRange::new(0, 2 * PAGE_SIZE) };
///
/// assert_eq!(range.addr(), 0);
/// assert_eq!(range.len(), 2 * PAGE_SIZE);
/// ```
///
/// # Invariants
///
/// Address and length are multiples of the page size, and the length is not 0.
#[repr(transparent)]
pub struct PhysRange(bindings::phys_vec);

impl PhysRange {
    /// Makes a range of `len` bytes at `paddr`.
    ///
    /// # Safety
    ///
    /// Both must be multiples of the page size, `len` not 0, and the end of the range must not
    /// wrap around.
    #[inline]
    pub const unsafe fn new(paddr: PhysAddr, len: usize) -> Self {
        // INVARIANT: The caller guarantees it.
        Self(bindings::phys_vec { paddr, len })
    }

    /// Returns the physical address of the first byte.
    #[inline]
    pub fn addr(&self) -> PhysAddr {
        self.0.paddr
    }

    /// Returns the length in bytes.
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Makes the range longer by `len` bytes at `paddr`, if that is where it ends.
    ///
    /// # Safety
    ///
    /// As for [`PhysRange::new`].
    pub(super) unsafe fn append(&mut self, paddr: PhysAddr, len: usize) -> bool {
        let adjacent = self.0.paddr.wrapping_add(self.0.len as PhysAddr) == paddr;
        if adjacent {
            // INVARIANT: The caller guarantees it.
            self.0.len += len;
        }
        adjacent
    }
}

/// Memory that a dma-buf can be made of.
///
/// # Safety
///
/// The memory at the [ranges](Memory::ranges) must stay where it is, and belong to the buffer,
/// until the object is dropped. Unless [`Memory::PAGES`] says otherwise, there must be a
/// `struct page` for each page of it; if it does, the [attributes](Memory::attrs) must have
/// [`DMA_ATTR_MMIO`].
pub unsafe trait Memory: Send + Sync + 'static {
    /// There are pages behind the ranges, so that the CPU may map them.
    const PAGES: bool = true;

    /// Returns where the memory is, in the order of the buffer.
    ///
    /// It is asked once, when the buffer is exported.
    fn ranges(&self) -> &[PhysRange];

    /// Returns what has to be observed when the memory is mapped for DMA.
    ///
    /// With [`DMA_ATTR_CC_SHARED`], the CPU maps it decrypted.
    ///
    /// [`DMA_ATTR_CC_SHARED`]: crate::dma::attrs::DMA_ATTR_CC_SHARED
    fn attrs(&self) -> Attrs {
        if Self::PAGES {
            Attrs::none()
        } else {
            DMA_ATTR_MMIO
        }
    }
}

/// No memory that has a physical address.
///
/// This is for exporters that know the addresses of devices by other means, see
/// [`Exporter::map_segments`](super::Exporter::map_segments).
// SAFETY: There are no ranges.
unsafe impl Memory for () {
    const PAGES: bool = false;

    fn ranges(&self) -> &[PhysRange] {
        &[]
    }
}

/// Pages of the page allocator, block by block.
///
/// # Examples
///
/// ```
/// use kernel::{
///     dma_buf::{
///         Memory,
///         PageMemory, //
///     },
///     page::{
///         PageBlock,
///         PAGE_SIZE, //
///     }, //
/// };
///
/// let mut memory = PageMemory::new();
/// memory.push(PageBlock::alloc(GFP_KERNEL | __GFP_COMP, 1)?, GFP_KERNEL)?;
/// memory.push(PageBlock::alloc(GFP_KERNEL, 0)?, GFP_KERNEL)?;
///
/// assert_eq!(memory.size(), 3 * PAGE_SIZE);
/// assert_eq!(memory.ranges()[0].len(), 2 * PAGE_SIZE);
/// assert_eq!(memory.ranges()[1].len(), PAGE_SIZE);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// Each range is a [`PageBlock`] that was given away and belongs to the object. `size` is the sum
/// of their lengths.
#[derive(Default)]
pub struct PageMemory {
    ranges: KVVec<PhysRange>,
    size: usize,
}

impl PageMemory {
    /// Makes memory of no blocks.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: There are none.
        Self {
            ranges: KVVec::new(),
            size: 0,
        }
    }

    /// Adds a block at the end.
    ///
    /// `flags` are for the array of ranges.
    pub fn push(&mut self, block: PageBlock, flags: Flags) -> Result<(), AllocError> {
        let size = self.size.checked_add(block.size()).ok_or(AllocError)?;
        self.ranges.reserve(1, flags)?;

        let (phys, len) = block.into_phys();
        // INVARIANT: The block was given away just now.
        // SAFETY: A block is made of whole pages. `reserve()` made room for it.
        let _ = self
            .ranges
            .push_within_capacity(unsafe { PhysRange::new(phys, len) });
        self.size = size;
        Ok(())
    }

    /// Returns the size in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }
}

// SAFETY: The blocks belong to the object until it is dropped, and have pages.
unsafe impl Memory for PageMemory {
    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }
}

impl Drop for PageMemory {
    fn drop(&mut self) {
        for range in &self.ranges {
            // SAFETY: By the type invariant it was given away, and belongs to the object.
            drop(unsafe { PageBlock::from_phys(range.addr(), range.len()) });
        }
    }
}

/// Pages that a confidential guest shares with its host, not encrypted.
///
/// Where memory is never encrypted, these are just pages.
///
/// # Examples
///
/// ```
/// use kernel::{
///     dma::attrs::DMA_ATTR_CC_SHARED,
///     dma_buf::{
///         Memory,
///         PageMemory,
///         SharedPageMemory, //
///     },
///     page::{
///         PageBlock,
///         PAGE_SIZE, //
///     }, //
/// };
///
/// # if cfg!(CONFIG_HIGHMEM) {
/// #     return Ok(());
/// # }
/// let mut memory = PageMemory::new();
/// memory.push(PageBlock::alloc(GFP_KERNEL | __GFP_COMP, 1)?, GFP_KERNEL)?;
///
/// let memory = SharedPageMemory::new(memory)?;
/// assert_eq!(memory.ranges()[0].len(), 2 * PAGE_SIZE);
/// assert!(memory.attrs().contains(DMA_ATTR_CC_SHARED));
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// None but the first `tried` ranges of `memory` were ever decrypted.
pub struct SharedPageMemory {
    memory: PageMemory,
    tried: usize,
}

impl SharedPageMemory {
    /// Shares `memory`.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`] if the kernel has high memory, or what the architecture says.
    pub fn new(memory: PageMemory) -> Result<Self> {
        if cfg!(CONFIG_HIGHMEM) {
            return Err(EOPNOTSUPP);
        }

        // INVARIANT: None was.
        let mut this = Self { memory, tried: 0 };
        for range in &this.memory.ranges {
            // INVARIANT: One more will be, or a part of it.
            this.tried += 1;
            Self::set_memory(range, bindings::set_memory_decrypted)?;
        }
        Ok(this)
    }

    fn set_memory(range: &PhysRange, set: unsafe extern "C" fn(c_ulong, c_int) -> c_int) -> Result {
        // SAFETY: Without high memory, all pages have an address.
        let vaddr = unsafe { bindings::phys_to_virt(range.addr()) };

        // SAFETY: The pages belong to `self`. What is in them may change.
        to_result(unsafe { set(vaddr as c_ulong, (range.len() >> PAGE_SHIFT) as c_int) })
            .inspect_err(|err| {
                crate::pr_warn_once!("dma_buf: cannot share or unshare memory: {err:?}\n")
            })
    }
}

// SAFETY: As for `PageMemory`.
unsafe impl Memory for SharedPageMemory {
    fn ranges(&self) -> &[PhysRange] {
        self.memory.ranges()
    }

    fn attrs(&self) -> Attrs {
        DMA_ATTR_CC_SHARED
    }
}

impl Drop for SharedPageMemory {
    fn drop(&mut self) {
        let mut tried = self.tried;

        // What stays shared must never be used again, and is lost. What never was must not be
        // encrypted again: on some machines that ends the guest.
        self.memory.ranges.retain(|range| {
            if tried == 0 {
                return true;
            }
            tried -= 1;
            Self::set_memory(range, bindings::set_memory_encrypted).is_ok()
        });
    }
}
