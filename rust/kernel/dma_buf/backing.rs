// SPDX-License-Identifier: GPL-2.0

//! What all buffers of Rust exporters have.

use super::{
    mapping::Mapping,
    PhysRange, //
};
use crate::{
    bindings,
    dma::{
        attrs::DMA_ATTR_CC_SHARED,
        Attrs,
        DataDirection, //
    },
    io::PhysAddr,
    list::{
        List,
        ListArc, //
    },
    mm::{
        pgprot::PgProt,
        virt::{
            PfnMap,
            VmaNew, //
        }, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        static_lock_class,
        Arc,
        Mutex, //
    },
};
use core::{
    mem,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// How user space maps a buffer of [`Memory`](super::Memory) with pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mmap {
    /// All of it at `mmap()`.
    Remap,
    /// All of it at the first access; only shared mappings.
    Fault,
}

/// How a buffer is in use.
struct Users {
    /// All mappings for devices.
    mappings: List<Mapping>,
    /// The mapping for the kernel, or null.
    vaddr: *mut c_void,
    /// The size of that.
    size: usize,
}

impl Users {
    fn invalidate_vaddr(&self) {
        if !self.vaddr.is_null() {
            // SAFETY: The mapping for the kernel is there while it is not null.
            unsafe { bindings::invalidate_kernel_vmap_range(self.vaddr, self.size as c_int) };
        }
    }

    fn flush_vaddr(&self) {
        if !self.vaddr.is_null() {
            // SAFETY: The mapping for the kernel is there while it is not null.
            unsafe { bindings::flush_kernel_vmap_range(self.vaddr, self.size as c_int) };
        }
    }
}

/// The memory of a buffer, and who uses it.
///
/// # Invariants
///
/// The memory at `ranges`, and the array itself, are there as long as the object is.
#[pin_data]
pub(super) struct Backing {
    ranges: NonNull<[PhysRange]>,
    /// The number of the first page of each [`STEP`]th range, but the first.
    index: KVVec<usize>,
    attrs: Attrs,
    #[pin]
    users: Mutex<Users>,
}

// SAFETY: The ranges are those of a `Memory`, which is `Send`; so is what a mapping refers to, and
// the mapping for the kernel belongs to no thread.
unsafe impl Send for Backing {}

// SAFETY: The ranges are only read, and those of a `Memory`, which is `Sync`. All that changes is
// behind a lock.
unsafe impl Sync for Backing {}

/// The name of a lock class has to be at one address, also where this code ends up in drivers.
static USERS_NAME: &CStr = c"dma_buf::Backing::users";

/// As many ranges are skipped one by one.
const STEP: usize = 64;

impl Backing {
    /// Makes a backing that has no memory yet.
    pub(super) fn empty() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ranges: NonNull::from(&mut []),
            index: KVVec::new(),
            attrs: Attrs::none(),
            users <- Mutex::new(
                Users {
                    mappings: List::new(),
                    vaddr: ptr::null_mut(),
                    size: 0,
                },
                USERS_NAME,
                static_lock_class!(),
            ),
        })
    }

    /// Gives it memory, and returns how much that is.
    ///
    /// # Safety
    ///
    /// The memory at `ranges`, and the array itself, must be there as long as the object is.
    pub(super) unsafe fn set(
        self: Pin<&mut Self>,
        ranges: NonNull<[PhysRange]>,
        attrs: Attrs,
    ) -> Result<usize> {
        let this = self.project();
        // INVARIANT: The caller guarantees it.
        *this.ranges = ranges;
        *this.attrs = attrs;

        // SAFETY: The caller guarantees that they are valid.
        let ranges = unsafe { ranges.as_ref() };
        let mut size = 0usize;
        for step in ranges.chunks(STEP) {
            if size != 0 {
                this.index.push(size >> PAGE_SHIFT, GFP_KERNEL)?;
            }
            for range in step {
                size = size.checked_add(range.len()).ok_or(EINVAL)?;
            }
        }
        Ok(size)
    }

    #[inline]
    pub(super) fn ranges(&self) -> &[PhysRange] {
        // SAFETY: By the type invariant they are valid.
        unsafe { self.ranges.as_ref() }
    }

    #[inline]
    pub(super) fn attrs(&self) -> Attrs {
        self.attrs
    }

    /// Adds a mapping for a device.
    pub(super) fn add(&self, mapping: ListArc<Mapping>) {
        self.users.lock().mappings.push_back(mapping);
    }

    /// Takes a mapping out.
    ///
    /// # Safety
    ///
    /// It must not have been added to another object.
    pub(super) unsafe fn remove(&self, mapping: &Mapping) -> Option<ListArc<Mapping>> {
        // SAFETY: The caller guarantees it.
        unsafe { self.users.lock().mappings.remove(mapping) }
    }

    /// Shows the CPU what devices wrote.
    pub(super) fn sync_for_cpu(&self, dir: DataDirection) {
        let users = self.users.lock();

        users.invalidate_vaddr();
        for mapping in users.mappings.iter() {
            mapping.sync_for_cpu(self.ranges(), dir);
        }
    }

    /// Shows devices what the CPU wrote.
    pub(super) fn sync_for_device(&self, dir: DataDirection) {
        let users = self.users.lock();

        users.flush_vaddr();
        for mapping in users.mappings.iter() {
            mapping.sync_for_device(self.ranges(), dir);
        }
    }

    /// Returns how the CPU maps the memory.
    fn prot(&self, prot: PgProt) -> PgProt {
        if self.attrs.contains(DMA_ATTR_CC_SHARED) {
            prot.decrypted()
        } else {
            prot
        }
    }

    /// Returns the number of each page from page `skip` on, in the order of the buffer.
    fn pfns(&self, skip: usize) -> impl Iterator<Item = usize> + '_ {
        let steps = self.index.partition_point(|&first| first <= skip);
        let mut skip = match steps.checked_sub(1).and_then(|last| self.index.get(last)) {
            Some(first) => skip - first,
            None => skip,
        };

        self.ranges()
            .iter()
            .skip(steps * STEP)
            .flat_map(move |range| {
                let first = (range.addr() >> PAGE_SHIFT) as usize;
                let pages = range.len() >> PAGE_SHIFT;
                let skipped = skip.min(pages);

                skip -= skipped;
                first + skipped..first + pages
            })
    }

    /// Maps the memory for the kernel; the dma-buf counts who uses that.
    pub(super) fn vmap(&self) -> Result<*mut c_void> {
        let size: usize = self.ranges().iter().map(PhysRange::len).sum();
        let mut pages = KVVec::with_capacity(size >> PAGE_SHIFT, GFP_KERNEL)?;

        for pfn in self.pfns(0) {
            // SAFETY: There are pages behind the memory.
            pages.push(unsafe { bindings::pfn_to_page(pfn) }, GFP_KERNEL)?;
        }

        // SAFETY: These are so many pages, and they stay.
        let vaddr = unsafe {
            bindings::vmap(
                pages.as_mut_ptr(),
                pages.len().try_into()?,
                bindings::VM_MAP as usize,
                self.prot(PgProt::kernel()).as_raw(),
            )
        };
        if vaddr.is_null() {
            return Err(ENOMEM);
        }

        let mut users = self.users.lock();
        users.vaddr = vaddr;
        users.size = size;
        Ok(vaddr)
    }

    /// Undoes [`Self::vmap`].
    pub(super) fn vunmap(&self) {
        let vaddr = mem::replace(&mut self.users.lock().vaddr, ptr::null_mut());

        // SAFETY: `vmap()` returned it, and nobody uses it any more.
        unsafe { bindings::vunmap(vaddr) };
    }

    /// Maps the part of the memory that `vma` asks for.
    ///
    /// # Safety
    ///
    /// The object must be there as long as the area, and the memory have pages.
    pub(super) unsafe fn mmap(&self, how: Mmap, vma: &VmaNew) -> Result {
        match how {
            // SAFETY: The caller guarantees it.
            Mmap::Remap => unsafe { self.remap(vma) },
            // INVARIANT: The caller guarantees it, as the area drops the object when it is closed.
            Mmap::Fault => vma.map_on_fault(Arc::new(FaultMap(self.into()), GFP_KERNEL)?),
        }
    }

    /// # Safety
    ///
    /// As for [`Self::mmap`].
    unsafe fn remap(&self, vma: &VmaNew) -> Result {
        let prot = self.prot(vma.page_prot());
        let mut skip = vma.pgoff() << PAGE_SHIFT;
        let mut addr = vma.start();

        for range in self.ranges() {
            if skip >= range.len() {
                skip -= range.len();
                continue;
            }
            if addr == vma.end() {
                break;
            }

            let len = (range.len() - skip).min(vma.end() - addr);
            // SAFETY: The caller guarantees that the memory stays, and nobody else has the area.
            unsafe { vma.remap_pfn_range(addr, range.addr() + skip as PhysAddr, len, prot)? };
            addr += len;
            skip = 0;
        }
        Ok(())
    }
}

/// The memory of a buffer as an area maps it.
///
/// # Invariants
///
/// The backing is there as long as the object.
struct FaultMap(NonNull<Backing>);

// SAFETY: It is a shared reference, and `Backing` is `Sync`.
unsafe impl Send for FaultMap {}
// SAFETY: It is a shared reference, and `Backing` is `Sync`.
unsafe impl Sync for FaultMap {}

// SAFETY: The memory is there as long as the backing.
unsafe impl PfnMap for FaultMap {
    fn pfns(&self, pgoff: usize) -> impl Iterator<Item = usize> {
        // SAFETY: By the type invariant it is valid.
        unsafe { self.0.as_ref() }.pfns(pgoff)
    }

    fn prot(&self, prot: PgProt) -> PgProt {
        // SAFETY: By the type invariant it is valid.
        unsafe { self.0.as_ref() }.prot(prot)
    }
}

#[cfg(CONFIG_RUST_DMA_BUF_KUNIT_TEST)]
#[macros::kunit_tests(rust_dma_buf_backing)]
mod tests {
    use super::*;
    use crate::page::PAGE_SIZE;

    #[test]
    fn pages_are_found_from_anywhere() -> Result {
        // Around the number of ranges that have an entry in the index.
        for nr in [1, STEP - 1, STEP, STEP + 1, 2 * STEP, 3 * STEP + 5] {
            let (mut ranges, mut pfns) = (KVec::new(), KVec::new());

            for n in 0..nr {
                let (first, pages) = (1000 - 5 * n, 1 + n % 3);

                for pfn in first..first + pages {
                    pfns.push(pfn, GFP_KERNEL)?;
                }
                // SAFETY: These are whole pages. Nobody accesses them.
                let range =
                    unsafe { PhysRange::new((first << PAGE_SHIFT) as PhysAddr, pages * PAGE_SIZE) };
                ranges.push(range, GFP_KERNEL)?;
            }

            let mut backing = KBox::pin_init(Backing::empty(), GFP_KERNEL)?;
            // SAFETY: The array is there until the end of the loop, and nobody accesses the memory.
            let size = unsafe {
                backing
                    .as_mut()
                    .set(NonNull::from(&ranges[..]), Attrs::none())?
            };

            assert_eq!(size, pfns.len() * PAGE_SIZE);
            for skip in 0..=pfns.len() {
                assert!(backing.pfns(skip).eq(pfns[skip..].iter().copied()));
            }
            assert!(backing.pfns(pfns.len() + 1).next().is_none());
        }
        Ok(())
    }
}
