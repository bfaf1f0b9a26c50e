// SPDX-License-Identifier: GPL-2.0

//! Memory of files that have no other storage.
//!
//! User space makes such files with `memfd_create(2)` and seals them, to share memory without
//! trusting who it shares it with. A driver looks at the seals, and pins the memory so that
//! devices can access it.
//!
//! C header: [`include/linux/memfd.h`](srctree/include/linux/memfd.h)
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     mm::memfd::{
//!         seals,
//!         Memfd,
//!         PinnedFolios, //
//!     },
//!     page::PAGE_SIZE, //
//! };
//!
//! # if !cfg!(CONFIG_MEMFD_CREATE) {
//! #     return Ok(());
//! # }
//! # let file = kernel::mm::memfd::testing::new(2 * PAGE_SIZE, seals::SHRINK)?;
//! // `file` is what `LocalFile::fget()` returned for a file descriptor.
//! let memfd = Memfd::from_file(&file).ok_or(EINVAL)?.lock();
//! if memfd.seals()? & seals::SHRINK == 0 {
//!     return Err(EINVAL);
//! }
//!
//! let mut folios = PinnedFolios::new();
//! let len: usize = folios.pin(&memfd, 0, 2)?.map(|(_addr, len)| len).sum();
//! assert_eq!(len, 2 * PAGE_SIZE);
//! # Ok::<(), Error>(())
//! ```

use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    error::to_result,
    fs::LocalFile,
    io::PhysAddr,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    types::NotThreadSafe, //
};
use core::ptr::NonNull;

/// What the owner of a [`Memfd`] has promised not to do any more.
pub mod seals {
    use crate::bindings;

    /// No seal is added any more.
    pub const SEAL: u32 = bindings::F_SEAL_SEAL;

    /// The file does not shrink.
    pub const SHRINK: u32 = bindings::F_SEAL_SHRINK;

    /// The file does not grow.
    pub const GROW: u32 = bindings::F_SEAL_GROW;

    /// Nobody writes to the file.
    pub const WRITE: u32 = bindings::F_SEAL_WRITE;

    /// Nobody writes to the file but through mappings that exist already.
    pub const FUTURE_WRITE: u32 = bindings::F_SEAL_FUTURE_WRITE;

    /// Nobody changes whether the file can be executed.
    pub const EXEC: u32 = bindings::F_SEAL_EXEC;
}

/// A file that has no storage but memory: a memfd, or a file of tmpfs or hugetlbfs.
///
/// # Invariants
///
/// The file is one of shmem or hugetlbfs.
#[repr(transparent)]
pub struct Memfd(LocalFile);

impl Memfd {
    /// Returns `file` as a [`Memfd`], or [`None`] if it is another kind of file.
    pub fn from_file(file: &LocalFile) -> Option<&Self> {
        // SAFETY: The file is valid.
        let is_memfd = unsafe {
            bindings::shmem_file(file.as_ptr()) || bindings::is_file_hugepages(file.as_ptr())
        };

        // SAFETY: `Memfd` is a transparent wrapper.
        // INVARIANT: The kind of file was just checked, and never changes.
        is_memfd.then(|| unsafe { &*core::ptr::from_ref(file).cast() })
    }

    /// Keeps seals from being added until the guard is dropped.
    pub fn lock(&self) -> LockedMemfd<'_> {
        // SAFETY: An open file has an inode. Adding seals takes this lock exclusively.
        unsafe { bindings::inode_lock_shared((*self.0.as_ptr()).f_inode) };

        // INVARIANT: The lock was just taken.
        LockedMemfd(self, NotThreadSafe)
    }
}

/// A [`Memfd`] whose seals do not change.
///
/// # Invariants
///
/// The lock of the inode is held, shared.
pub struct LockedMemfd<'a>(&'a Memfd, NotThreadSafe);

impl LockedMemfd<'_> {
    /// Returns the [`seals`].
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the kernel was built without seals for this kind of file.
    pub fn seals(&self) -> Result<u32> {
        // SAFETY: The file is valid.
        let seals = unsafe { bindings::memfd_fcntl(self.0 .0.as_ptr(), bindings::F_GET_SEALS, 0) };

        if seals < 0 {
            return Err(EINVAL);
        }
        Ok(seals as u32)
    }
}

impl Drop for LockedMemfd<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, and by this task.
        unsafe { bindings::inode_unlock_shared((*self.0 .0.as_ptr()).f_inode) };
    }
}

/// A folio that is neither moved nor freed.
///
/// # Invariants
///
/// The folio is valid, and pinned.
#[repr(transparent)]
struct PinnedFolio(NonNull<bindings::folio>);

// SAFETY: Pins do not belong to a task.
unsafe impl Send for PinnedFolio {}
// SAFETY: Only properties that are constant while the folio is pinned are read.
unsafe impl Sync for PinnedFolio {}

impl PinnedFolio {
    #[inline]
    fn addr(&self) -> PhysAddr {
        // SAFETY: The folio is valid by the type invariants.
        let pfn = unsafe { bindings::folio_pfn(self.0.as_ptr()) };

        (pfn as PhysAddr) << PAGE_SHIFT
    }

    #[inline]
    fn size(&self) -> usize {
        // SAFETY: The folio is valid by the type invariants; its size does not change while it is
        // pinned.
        unsafe { bindings::folio_size(self.0.as_ptr()) }
    }
}

/// Pinned memory of any number of [`Memfd`]s.
///
/// The memory stays where it is until this object is dropped, which marks all of it as dirty.
///
/// # Invariants
///
/// The object owns one pin of each folio for each time that it has it.
pub struct PinnedFolios(KVVec<PinnedFolio>);

impl PinnedFolios {
    /// Creates an empty object.
    pub const fn new() -> Self {
        Self(KVVec::new())
    }

    /// Creates an empty object with space for `pages` pages.
    pub fn with_capacity(pages: usize, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(KVVec::with_capacity(pages, flags)?))
    }

    /// Pins `pages` pages from byte `offset` of a file on, and allocates those that are missing.
    ///
    /// A page may be pinned any number of times.
    ///
    /// Returns the physical address and length in bytes of each piece of that memory, in the order
    /// of the file. A piece does not exceed a folio; adjacent pieces are not merged.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there are no pages, or not within the file, or if `offset` is not a multiple
    /// of the page size; [`ENOMEM`]; or what the allocation of a page returned. Nothing is pinned
    /// then.
    pub fn pin(
        &mut self,
        memfd: &LockedMemfd<'_>,
        offset: u64,
        pages: usize,
    ) -> Result<impl Iterator<Item = (PhysAddr, usize)> + '_> {
        if offset % PAGE_SIZE as u64 != 0 {
            return Err(EINVAL);
        }

        let max = u32::try_from(pages).map_err(|_| EINVAL)?;
        let start = offset as bindings::loff_t;
        let end = start.wrapping_add(i64::from(max) * PAGE_SIZE as i64 - 1);
        let old = self.0.len();
        let mut skip = 0;

        self.0.reserve(pages, GFP_KERNEL)?;
        // SAFETY: The file is valid, and there is space for `max` pointers.
        let pinned = unsafe {
            bindings::memfd_pin_folios(
                memfd.0 .0.as_ptr(),
                start,
                end,
                self.0.spare_capacity_mut().as_mut_ptr().cast(),
                max,
                &mut skip,
            )
        };
        if pinned <= 0 {
            to_result(pinned as c_int)?;
            return Err(EINVAL);
        }
        // SAFETY: `memfd_pin_folios` stored that many folios, at most `max`.
        // INVARIANT: Each comes with one pin, which is ours.
        unsafe { self.0.inc_len(pinned as usize) };

        // With as many folios as pages, there is one page of each.
        let single = pinned as usize == pages;
        let folios = self.0[old..]
            .iter()
            .map(move |folio| (folio.addr(), (!single).then(|| folio.size())));
        Ok(pieces(folios, skip, pages))
    }
}

/// Returns where `pages` pages are, from `skip` bytes in the first of `folios` on.
///
/// Of a folio there is an address and a size, if more than a page of it may be taken. The last one
/// may end behind the last page.
fn pieces(
    folios: impl Iterator<Item = (PhysAddr, Option<usize>)>,
    mut skip: usize,
    pages: usize,
) -> impl Iterator<Item = (PhysAddr, usize)> {
    let mut left = pages;

    folios.map_while(move |(addr, size)| {
        let pages = match size {
            Some(size) => left.min((size - skip) >> PAGE_SHIFT),
            None => 1,
        };
        let addr = addr + skip as PhysAddr;

        skip = 0;
        left -= pages;
        (pages > 0).then_some((addr, pages << PAGE_SHIFT))
    })
}

impl Drop for PinnedFolios {
    fn drop(&mut self) {
        // Devices and PFN mappings write without a trace in page tables. A clean folio would be
        // dropped, with its data, as soon as it is not pinned.
        for folio in &self.0 {
            let folio = folio.0.as_ptr();

            // SAFETY: By the type invariants the folio is valid, and the pin is ours to give back.
            unsafe {
                if !bindings::folio_test_dirty(folio) {
                    bindings::folio_mark_dirty_lock(folio);
                }
                bindings::unpin_folio(folio);
            }
        }
    }
}

impl Default for PinnedFolios {
    fn default() -> Self {
        Self::new()
    }
}

/// Memfds for tests.
#[cfg(CONFIG_KUNIT = "y")]
#[doc(hidden)]
pub mod testing {
    use super::*;
    use crate::{
        error::from_err_ptr,
        fs::{
            file::FileDescriptorReservation,
            File, //
        },
        sync::aref::ARef, //
    };

    /// Creates a memfd of `size` bytes.
    pub fn new(size: usize, seals: u32) -> Result<ARef<File>> {
        // SAFETY: The name is a string.
        let file = from_err_ptr(unsafe {
            bindings::memfd_alloc_file(c"test".as_char_ptr(), bindings::MFD_ALLOW_SEALING)
        })?;
        let file = NonNull::new(file).ok_or(ENOMEM)?;
        // SAFETY: The reference to the file is ours; nobody else knows it.
        let file = unsafe { ARef::<File>::from_raw(file.cast()) };

        // SAFETY: The file is valid.
        to_result(unsafe {
            bindings::vfs_truncate(
                &raw const (*file.as_ptr()).__bindgen_anon_1.f_path,
                size as bindings::loff_t,
            )
        })?;
        seal(&file, seals)?;
        Ok(file)
    }

    /// Adds seals to a memfd.
    pub fn seal(file: &LocalFile, seals: u32) -> Result {
        // SAFETY: The file is valid.
        let ret = unsafe { bindings::memfd_fcntl(file.as_ptr(), bindings::F_ADD_SEALS, seals) };

        to_result(ret as c_int)
    }

    /// Writes to a memfd.
    pub fn write(file: &LocalFile, data: &[u8], offset: usize) -> Result<usize> {
        let mut offset = offset as bindings::loff_t;
        // SAFETY: The file and the buffer are valid.
        let ret = unsafe {
            bindings::kernel_write(file.as_ptr(), data.as_ptr().cast(), data.len(), &mut offset)
        };

        to_result(ret as c_int)?;
        Ok(ret as usize)
    }

    /// Reads from a memfd.
    pub fn read(file: &LocalFile, data: &mut [u8], offset: usize) -> Result<usize> {
        let mut offset = offset as bindings::loff_t;
        // SAFETY: The file and the buffer are valid.
        let ret = unsafe {
            bindings::kernel_read(
                file.as_ptr(),
                data.as_mut_ptr().cast(),
                data.len(),
                &mut offset,
            )
        };

        to_result(ret as c_int)?;
        Ok(ret as usize)
    }

    /// A file descriptor of the thread that runs a test.
    pub struct Fd(u32);

    impl Fd {
        /// Makes a file descriptor for `file`.
        pub fn new(file: ARef<File>) -> Result<Self> {
            let reserved = FileDescriptorReservation::get_unused_fd_flags(0)?;
            let fd = reserved.reserved_fd();

            reserved.fd_install(file);
            Ok(Self(fd))
        }

        /// Owns a file descriptor that something else made.
        ///
        /// # Safety
        ///
        /// Nobody else may use or close it.
        pub unsafe fn adopt(fd: u32) -> Self {
            Self(fd)
        }

        /// Returns the number.
        pub fn get(&self) -> u32 {
            self.0
        }
    }

    impl Drop for Fd {
        fn drop(&mut self) {
            // SAFETY: It belongs to the object.
            unsafe { bindings::close_fd(self.0) };
        }
    }
}

#[cfg(CONFIG_RUST_MEMFD_KUNIT_TEST)]
#[macros::kunit_tests(rust_memfd)]
mod tests {
    use super::*;

    /// Pins, and returns the pieces.
    fn pin(
        folios: &mut PinnedFolios,
        file: &LocalFile,
        offset: usize,
        pages: usize,
    ) -> Result<KVec<(PhysAddr, usize)>> {
        let memfd = Memfd::from_file(file).ok_or(EBADFD)?.lock();
        let mut pieces = KVec::new();

        for piece in folios.pin(&memfd, offset as u64, pages)? {
            pieces.push(piece, GFP_KERNEL)?;
        }
        Ok(pieces)
    }

    fn len(pieces: &[(PhysAddr, usize)]) -> usize {
        pieces.iter().map(|piece| piece.1).sum()
    }

    #[test]
    fn seals_are_read() -> Result {
        let file = testing::new(PAGE_SIZE, seals::SHRINK | seals::GROW)?;
        let memfd = Memfd::from_file(&file).ok_or(EINVAL)?;

        assert_eq!(memfd.lock().seals()?, seals::SHRINK | seals::GROW);
        // The lock was given back.
        assert_eq!(memfd.lock().seals()?, seals::SHRINK | seals::GROW);
        Ok(())
    }

    #[test]
    fn pieces_cover_the_range() -> Result {
        let file = testing::new(8 * PAGE_SIZE, seals::SHRINK)?;
        let mut folios = PinnedFolios::new();

        let whole = pin(&mut folios, &file, 0, 8)?;
        assert_eq!(len(&whole), 8 * PAGE_SIZE);
        assert_eq!(whole[0].0 % PAGE_SIZE as PhysAddr, 0);

        // The same pages again, while they are pinned.
        let part = pin(&mut folios, &file, 2 * PAGE_SIZE, 3)?;
        assert_eq!(len(&part), 3 * PAGE_SIZE);
        let mut skipped = 0;
        let third = whole.iter().find_map(|&(addr, len)| {
            skipped += len;
            (skipped > 2 * PAGE_SIZE).then(|| addr + (2 * PAGE_SIZE - (skipped - len)) as PhysAddr)
        });
        assert_eq!(third, Some(part[0].0));
        Ok(())
    }

    /// Are these the pieces of `bytes` bytes, `skip` bytes behind the start of `folios`?
    fn are_pieces(
        pieces: &[(usize, usize)],
        folios: &[(usize, Option<usize>)],
        skip: usize,
        bytes: usize,
    ) -> bool {
        let folios = folios.iter().map(|&(addr, size)| (addr as PhysAddr, size));

        super::pieces(folios, skip, bytes >> PAGE_SHIFT)
            .eq(pieces.iter().map(|&(addr, len)| (addr as PhysAddr, len)))
    }

    #[test]
    fn pieces_are_parts_of_folios() {
        const MIB: usize = 1 << 20;
        const FOLIOS: [(usize, Option<usize>); 3] = [
            (16 * MIB, Some(2 * MIB)),
            (8 * MIB, Some(PAGE_SIZE)),
            (64 * MIB, Some(2 * MIB)),
        ];
        let whole = [
            (16 * MIB, 2 * MIB),
            (8 * MIB, PAGE_SIZE),
            (64 * MIB, 2 * MIB),
        ];
        let inner = [(17 * MIB, MIB), (8 * MIB, PAGE_SIZE), (64 * MIB, MIB)];

        assert!(are_pieces(&whole, &FOLIOS, 0, 4 * MIB + PAGE_SIZE));
        // The end of the first, and the start of the last.
        assert!(are_pieces(&inner, &FOLIOS, MIB, 2 * MIB + PAGE_SIZE));
        // The middle of one.
        assert!(are_pieces(
            &[(17 * MIB, MIB / 2)],
            &FOLIOS[..1],
            MIB,
            MIB / 2
        ));
        // One page of each.
        let single = [(16 * MIB, None), (8 * MIB, None)];
        let pages = [(17 * MIB, PAGE_SIZE), (8 * MIB, PAGE_SIZE)];
        assert!(are_pieces(&pages, &single, MIB, 2 * PAGE_SIZE));
    }

    #[test]
    fn ranges_are_checked() -> Result {
        let file = testing::new(2 * PAGE_SIZE, seals::SHRINK)?;
        let mut folios = PinnedFolios::with_capacity(2, GFP_KERNEL)?;

        assert_eq!(pin(&mut folios, &file, 0, 0).err(), Some(EINVAL));
        assert_eq!(pin(&mut folios, &file, 0, 3).err(), Some(EINVAL));
        assert_eq!(pin(&mut folios, &file, 1, 1).err(), Some(EINVAL));
        assert_eq!(
            pin(&mut folios, &file, 2 * PAGE_SIZE, 1).err(),
            Some(EINVAL)
        );
        assert_eq!(
            pin(&mut folios, &file, usize::MAX << 12, 1).err(),
            Some(EINVAL)
        );
        assert_eq!(
            pin(&mut folios, &file, usize::MAX << 12, 2).err(),
            Some(EINVAL)
        );
        assert!(folios.0.is_empty());
        assert_eq!(len(&pin(&mut folios, &file, PAGE_SIZE, 1)?), PAGE_SIZE);
        Ok(())
    }

    #[test]
    fn pins_are_given_back() -> Result {
        let file = testing::new(4 * PAGE_SIZE, seals::SHRINK)?;
        let mut folios = PinnedFolios::new();

        pin(&mut folios, &file, 0, 4)?;
        // Some of it twice: that takes two pins.
        pin(&mut folios, &file, PAGE_SIZE, 1)?;
        // Nobody may promise that there are no writers while others have the memory.
        assert_eq!(testing::seal(&file, seals::WRITE), Err(EBUSY));
        drop(folios);
        testing::seal(&file, seals::WRITE)
    }

    #[test]
    fn folios_are_dirtied() -> Result {
        let file = testing::new(PAGE_SIZE, seals::SHRINK)?;
        let mut folios = PinnedFolios::new();
        // SAFETY: The folio is pinned.
        let is_dirty =
            |folios: &PinnedFolios| unsafe { bindings::folio_test_dirty(folios.0[0].0.as_ptr()) };

        pin(&mut folios, &file, 0, 1)?;
        assert!(!is_dirty(&folios));
        drop(folios);

        let mut folios = PinnedFolios::new();
        pin(&mut folios, &file, 0, 1)?;
        assert!(is_dirty(&folios));
        Ok(())
    }
}
