// SPDX-License-Identifier: GPL-2.0

//! Protection of pages.

use crate::bindings;

/// How pages are mapped: who may access them, and with which attributes of caches and encryption.
///
/// # Examples
///
/// What user space maps of memory that is shared with the host of a confidential guest.
///
/// ```
/// use kernel::mm::{
///     pgprot::PgProt,
///     virt::VmaRef, //
/// };
///
/// fn shared_prot(vma: &VmaRef) -> PgProt {
///     vma.page_prot().decrypted()
/// }
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct PgProt(bindings::pgprot_t);

impl PgProt {
    /// Returns how the kernel maps ordinary memory.
    #[inline]
    pub fn kernel() -> Self {
        // SAFETY: There are no requirements.
        Self(unsafe { bindings::pgprot_kernel() })
    }

    /// Returns the same for memory that is shared with the host of a confidential guest.
    #[inline]
    #[must_use]
    pub fn decrypted(self) -> Self {
        // SAFETY: There are no requirements.
        Self(unsafe { bindings::pgprot_decrypted(self.0) })
    }

    #[inline]
    pub(crate) fn from_raw(prot: bindings::pgprot_t) -> Self {
        Self(prot)
    }

    #[inline]
    pub(crate) fn as_raw(self) -> bindings::pgprot_t {
        self.0
    }
}
