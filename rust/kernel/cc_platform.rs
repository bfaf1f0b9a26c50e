// SPDX-License-Identifier: GPL-2.0

//! Confidential computing.
//!
//! C header: [`include/linux/cc_platform.h`](srctree/include/linux/cc_platform.h)

use crate::bindings;

/// What a platform may have.
#[derive(Clone, Copy)]
pub enum Attr {
    /// Memory is encrypted.
    MemEncrypt,
}

/// Returns whether the platform has `attr`.
///
/// # Examples
///
/// ```
/// use kernel::cc_platform::{
///     self,
///     Attr, //
/// };
///
/// if cc_platform::has(Attr::MemEncrypt) {
///     pr_info!("The host does not see our memory\n");
/// }
/// ```
#[inline]
pub fn has(attr: Attr) -> bool {
    let attr = match attr {
        Attr::MemEncrypt => bindings::cc_attr_CC_ATTR_MEM_ENCRYPT,
    };

    // SAFETY: There are no requirements.
    unsafe { bindings::cc_platform_has(attr) }
}
