// SPDX-License-Identifier: GPL-2.0

//! Memory of memfds, for dma-bufs.

use super::{
    Memory,
    PhysRange, //
};
use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    mm::memfd::{
        LockedMemfd,
        PinnedFolios, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};

/// Pinned pages of any number of [`Memfd`]s, one after the other.
///
/// Pages that are adjacent in physical memory make one range.
///
/// # Examples
///
/// ```
/// use kernel::{
///     dma_buf::{
///         MemfdMemory,
///         Memory, //
///     },
///     mm::memfd::Memfd,
///     page::PAGE_SIZE, //
/// };
///
/// # if !cfg!(CONFIG_MEMFD_CREATE) {
/// #     return Ok(());
/// # }
/// # let file = kernel::mm::memfd::testing::new(2 * PAGE_SIZE, 0)?;
/// // `file` is what `LocalFile::fget()` returned for a file descriptor.
/// let memfd = Memfd::from_file(&file).ok_or(EINVAL)?.lock();
/// let mut memory = MemfdMemory::with_capacity(3, GFP_KERNEL)?;
///
/// memory.pin(&memfd, 0, 2)?;
/// memory.pin(&memfd, 0, 1)?;
/// assert_eq!(memory.size(), 3 * PAGE_SIZE);
/// assert!(memory.ranges().len() >= 2);
/// # Ok::<(), Error>(())
/// ```
///
/// [`Memfd`]: crate::mm::memfd::Memfd
pub struct MemfdMemory {
    ranges: KVVec<PhysRange>,
    size: usize,
    folios: PinnedFolios,
}

impl MemfdMemory {
    /// Creates an empty object with space for `pages` pages.
    pub fn with_capacity(pages: usize, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            ranges: KVVec::new(),
            size: 0,
            folios: PinnedFolios::with_capacity(pages, flags)?,
        })
    }

    /// Appends `pages` pages from byte `offset` of a file on, see [`PinnedFolios::pin`].
    ///
    /// # Errors
    ///
    /// Those of [`PinnedFolios::pin`], and [`ENOMEM`]. Nothing is appended then, but folios may
    /// stay pinned until the object is dropped.
    pub fn pin(&mut self, memfd: &LockedMemfd<'_>, offset: u64, pages: usize) -> Result {
        let pieces = self.folios.pin(memfd, offset, pages)?;

        // No folio may be adjacent to the one before.
        self.ranges
            .reserve(pieces.size_hint().1.unwrap_or(0), GFP_KERNEL)?;

        for (addr, len) in pieces {
            let last = self.ranges.last_mut();

            // SAFETY: These are whole pages of a folio.
            if !last.is_some_and(|last| unsafe { last.append(addr, len) }) {
                // SAFETY: These are whole pages of a folio.
                let range = unsafe { PhysRange::new(addr, len) };

                self.ranges.push_within_capacity(range)?;
            }
        }
        self.size = self.size.saturating_add(pages << PAGE_SHIFT);
        Ok(())
    }

    /// Returns the number of bytes, or [`usize::MAX`] if there are more.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }
}

// SAFETY: The folios are pinned until the object is dropped, and have pages.
unsafe impl Memory for MemfdMemory {
    fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }
}
