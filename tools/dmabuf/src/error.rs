// SPDX-License-Identifier: GPL-2.0 OR MIT

use rustix::io::Errno;
use std::fmt;

/// What failed, why, and what to try next, in one line.
///
/// ```
/// let error = dmabuf::Heap::open("no-such-heap").unwrap_err();
/// assert_eq!(error.errno(), dmabuf::Errno::NOENT);
/// assert!(error.to_string().starts_with("/dev/dma_heap/no-such-heap: "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    object: String,
    reason: String,
    hint: String,
    errno: Errno,
}

impl Error {
    /// `object` is what the call was about; `errno` what the kernel said.
    pub fn new(object: impl Into<String>, errno: Errno) -> Self {
        Error {
            object: object.into(),
            reason: text(errno),
            hint: String::new(),
            errno,
        }
    }

    /// Says the reason in better words than the error number's own.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds what the reader can try next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The kernel's answer, untouched.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// Its symbol, as manual pages have it.
    ///
    /// ```
    /// use dmabuf::{Errno, Error};
    /// assert_eq!(Error::new("a.bin", Errno::FAULT).symbol(), "EFAULT");
    /// assert_eq!(Error::new("a.bin", Errno::XDEV).symbol(), "error 18");
    /// ```
    pub fn symbol(&self) -> String {
        match name(self.errno) {
            Some(name) => name.into(),
            None => format!("error {}", self.errno.raw_os_error()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.reason)?;
        if let Some(name) = name(self.errno) {
            write!(f, " ({name})")?;
        }
        if !self.hint.is_empty() {
            write!(f, ": {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The kernel's sentence for an error number.
pub(crate) fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// The symbol people search for. Only those that these calls return.
fn name(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::ACCESS => "EACCES",
        Errno::AGAIN => "EAGAIN",
        Errno::BADF => "EBADF",
        Errno::BADFD => "EBADFD",
        Errno::DQUOT => "EDQUOT",
        Errno::FAULT => "EFAULT",
        Errno::FBIG => "EFBIG",
        Errno::INTR => "EINTR",
        Errno::INVAL => "EINVAL",
        Errno::EXIST => "EEXIST",
        Errno::IO => "EIO",
        Errno::ISDIR => "EISDIR",
        Errno::MFILE => "EMFILE",
        Errno::NODEV => "ENODEV",
        Errno::NOENT => "ENOENT",
        Errno::NOMEM => "ENOMEM",
        Errno::NOSPC => "ENOSPC",
        Errno::NOTTY => "ENOTTY",
        Errno::NODATA => "ENODATA",
        Errno::NOSYS => "ENOSYS",
        Errno::NXIO => "ENXIO",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::OVERFLOW => "EOVERFLOW",
        Errno::PERM => "EPERM",
        Errno::PIPE => "EPIPE",
        Errno::ROFS => "EROFS",
        Errno::SPIPE => "ESPIPE",
        Errno::TXTBSY => "ETXTBSY",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_object_reason_hint() {
        let plain = Error::new("a.bin", Errno::NOENT);
        assert_eq!(
            plain.to_string(),
            "a.bin: no such file or directory (ENOENT)"
        );
        let full = Error::new("a.bin", Errno::INVAL)
            .reason("offset 3 is odd")
            .hint("make it even");
        assert_eq!(
            full.to_string(),
            "a.bin: offset 3 is odd (EINVAL): make it even"
        );
        assert_eq!(full.errno(), Errno::INVAL);
    }

    #[test]
    fn rare_numbers_keep_their_text() {
        assert_eq!(
            Error::new("x", Errno::XDEV).to_string(),
            "x: invalid cross-device link"
        );
    }
}
