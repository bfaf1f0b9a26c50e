// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A file into a buffer, in as many calls as it takes, and a precise answer
//! when it cannot be.

use crate::{BLOCK, DmaBuf, Error, Result, uapi, units};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, StatxFlags};
use rustix::io::{Errno, retry_on_intr};
use std::path::Path;

/// Opens a file or a disk the way [`DmaBuf::load`] needs it: for reading, past
/// the page cache (`O_DIRECT`).
pub fn open_direct(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let path = path.as_ref();
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let error = Error::new(path.display().to_string(), errno);
        match errno {
            Errno::INVAL => error
                .reason("its file system has no direct I/O (O_DIRECT)")
                .hint("put the file on ext4 or XFS, or read the raw disk"),
            _ => error,
        }
    })
}

/// The size of a file or of a disk, for which fstat(2) says 0.
pub fn file_size(file: impl AsFd) -> Result<u64> {
    let file = file.as_fd();
    let size = || {
        let stat = rustix::fs::fstat(file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => uapi::block_device_size(file),
            _ => Ok(stat.st_size as u64),
        }
    };
    size().map_err(|errno| Error::new(path_of(file), errno))
}

impl DmaBuf {
    /// Loads up to `len` bytes of `file`, from `file_off` on, into this
    /// buffer at `buf_off`, and returns how many are there now: `len`, or
    /// fewer if the file or the buffer ends before.
    ///
    /// `file` is open for reading with `O_DIRECT` ([`open_direct`]) and has
    /// its bytes on the disk: no holes. The offsets are multiples of
    /// [`BLOCK`](crate::BLOCK), and so is `len` unless it reaches to the end
    /// of the file. The last, partial block of a file is read as a whole, so
    /// that up to 4095 bytes of the buffer after the end may change.
    ///
    /// Any length is fine: it takes as many calls as necessary.
    ///
    /// # Errors
    ///
    /// The error names the pair, the reason and what to try next. What was
    /// loaded before it stays in the buffer.
    pub fn load(&mut self, file: impl AsFd, file_off: u64, buf_off: u64, len: u64) -> Result<u64> {
        let file = file.as_fd();
        let end = file_size(file)?;
        if len > 0 && buf_off >= self.size() {
            return Err(self.explain(file, file_off, buf_off, len, 0, Errno::NOSPC));
        }

        let size = self.size();
        let job = Job {
            file_off,
            buf_off,
            want: len
                .min(size.saturating_sub(buf_off))
                .min(end.saturating_sub(file_off)),
            file_end: end,
            buf_end: size,
        };
        job.run(|from, to, ask| self.splice_from(file, from, to, ask))
            .map_err(|stop| self.explain(file, stop.from, stop.to, stop.ask, stop.done, stop.errno))
    }

    fn explain(
        &self,
        file: BorrowedFd<'_>,
        file_off: u64,
        buf_off: u64,
        len: u64,
        done: u64,
        errno: Errno,
    ) -> Error {
        let stats = self.stats().unwrap_or_default();
        let object = format!(
            "{} -> {} dma-buf of {}",
            path_of(file),
            stats.exporter,
            units::bytes(self.size())
        );
        let facts = Facts {
            kernel_can: stats.dio_read_bytes.is_some(),
            ..Facts::of(file, file_off)
        };
        let (mut reason, hint) = facts.why(errno, file_off, buf_off, len);
        if done > 0 {
            reason = format!("after {}: {reason}", units::bytes(done));
        }
        let error = Error::new(object, errno);
        let error = match reason.is_empty() {
            true => error,
            false => error.reason(reason),
        };
        error.hint(hint)
    }
}

/// A load, apart from who does it.
struct Job {
    file_off: u64,
    buf_off: u64,
    want: u64,
    file_end: u64,
    buf_end: u64,
}

/// Where a load stopped, and why.
#[derive(Debug, PartialEq)]
struct Stop {
    from: u64,
    to: u64,
    ask: u64,
    done: u64,
    errno: Errno,
}

impl Job {
    /// Calls until everything is there or nothing more comes.
    fn run(
        &self,
        mut call: impl FnMut(u64, u64, u64) -> std::result::Result<u64, Errno>,
    ) -> std::result::Result<u64, Stop> {
        let mut done = 0;
        while done < self.want {
            let (from, to) = (self.file_off + done, self.buf_off + done);
            let ask = ask(self.want - done, self.file_end - from, self.buf_end - to);
            match retry_on_intr(|| call(from, to, ask)) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    // Only the end of a file cuts a block, also when it moved
                    // after we looked.
                    if n % 512 != 0 {
                        break;
                    }
                }
                Err(errno) => {
                    return Err(Stop {
                        from,
                        to,
                        ask,
                        done,
                        errno,
                    });
                }
            }
        }
        // A file that grew meanwhile may have filled the last block.
        Ok(done.min(self.want))
    }
}

/// How much to ask for when `want` bytes are wanted: the last, partial block
/// of a file can only be had as a whole, if the buffer has room for it. A
/// partial block in the middle of a file is left for the kernel to refuse.
fn ask(want: u64, file_left: u64, room: u64) -> u64 {
    if want < file_left {
        return want;
    }
    want.checked_next_multiple_of(BLOCK)
        .map_or(room, |whole| whole.min(room))
}

/// What decides whether a file can go directly into a dma-buf, gathered only
/// after it could not.
#[derive(Debug, Clone)]
struct Facts {
    kernel_can: bool,
    direct: bool,
    readable: bool,
    directory: bool,
    hole: bool,
    /// Name of a file system that is known not to do it.
    fs: Option<&'static str>,
    block: u64,
}

impl Facts {
    fn of(file: BorrowedFd<'_>, off: u64) -> Facts {
        let flags = rustix::fs::fcntl_getfl(file).unwrap_or(OFlags::empty());
        let access = flags & (OFlags::RDONLY | OFlags::WRONLY | OFlags::RDWR);
        let mode = rustix::fs::fstat(file).map_or(0, |stat| stat.st_mode);
        let kind = FileType::from_raw_mode(mode);
        Facts {
            kernel_can: true,
            direct: flags.contains(OFlags::DIRECT),
            readable: access != OFlags::WRONLY && !flags.contains(OFlags::PATH),
            directory: kind == FileType::Directory,
            hole: kind == FileType::RegularFile && starts_with_hole(file, off),
            fs: if kind == FileType::BlockDevice {
                None
            } else {
                rustix::fs::fstatfs(file)
                    .ok()
                    .and_then(|fs| incapable(fs.f_type as u64))
            },
            block: rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
                .map_or(0, |stat| u64::from(stat.stx_dio_offset_align))
                .clamp(512, BLOCK),
        }
    }

    /// Reason and advice; an empty reason leaves the error number's own text.
    fn why(&self, errno: Errno, file_off: u64, buf_off: u64, len: u64) -> (String, String) {
        let (reason, hint): (String, &str) = match errno {
            Errno::OPNOTSUPP if !self.direct => (
                "the file is not open for direct I/O".into(),
                "open it with O_DIRECT",
            ),
            Errno::OPNOTSUPP if self.fs.is_some() => (
                format!(
                    "files on {} cannot go into a dma-buf directly",
                    self.fs.unwrap_or_default()
                ),
                "put the file on ext4 or XFS, or read the raw disk",
            ),
            Errno::OPNOTSUPP if self.hole => (
                format!("a hole at offset {file_off}: nothing on the disk to read"),
                "load a copy made with `cp --sparse=never`, or skip the hole",
            ),
            Errno::OPNOTSUPP => (
                "the disk, or a layer above it, cannot take a dma-buf".into(),
                "use a file on a disk whose driver can, such as NVMe; loop, brd, zram, \
                 dm-crypt and files with inline or encrypted data read by the CPU",
            ),
            Errno::INVAL if self.directory => {
                ("it is a directory".into(), "name one of the files in it")
            }
            Errno::INVAL if !self.kernel_can => (
                "this kernel's splice(2) knows no dma-bufs".into(),
                "boot a kernel with dma-buf direct I/O",
            ),
            Errno::INVAL => {
                let odd = |what: &str, n: u64| {
                    (n % self.block != 0)
                        .then(|| format!("{what} {n} is not a multiple of {}", self.block))
                };
                match odd("file offset", file_off)
                    .or_else(|| odd("buffer offset", buf_off))
                    .or_else(|| odd("length", len))
                {
                    Some(reason) => (
                        reason,
                        "direct I/O moves whole blocks of the disk; \
                         only the end of the file may be in the middle of one",
                    ),
                    None => (
                        String::new(),
                        "see dmabuf-dio in the kernel's documentation",
                    ),
                }
            }
            Errno::BADF if !self.readable => (
                "the file is not open for reading".into(),
                "open it with O_RDONLY or O_RDWR, without O_PATH",
            ),
            Errno::BADF => (
                "the dma-buf is not open for writing".into(),
                "allocate it with O_RDWR, as this library does",
            ),
            Errno::NOSPC => (
                format!("offset {buf_off} is past the end of the buffer"),
                "load into a larger buffer, or nearer to its start",
            ),
            Errno::IO => (
                format!("the disk could not read at offset {file_off}"),
                "dmesg says more",
            ),
            Errno::NODEV => (
                "the buffer's memory was taken away".into(),
                "allocate a new buffer once its device is back",
            ),
            _ => (String::new(), "dmesg may say more"),
        };
        (reason, hint.into())
    }
}

/// Asks a description of the file of its own, since the answer comes by
/// moving the position.
fn starts_with_hole(file: BorrowedFd<'_>, off: u64) -> bool {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(own) = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    match rustix::fs::seek(&own, SeekFrom::Data(off)) {
        Ok(data) => data > off,
        // No data from here to the end.
        Err(errno) => errno == Errno::NXIO,
    }
}

/// File systems people are likely to try it on. Whoever is not in the list
/// gets the general answer.
fn incapable(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x9123_683e => "btrfs",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE or virtiofs",
        0x6969 => "NFS",
        0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x2011_bab0 => "exFAT",
        0x4d44 => "FAT",
        0x9fa0 => "proc",
        0x6265_6572 => "sysfs",
        0x9584_58f6 => "hugetlbfs",
        0x7371_7368 => "squashfs",
        0x2fc1_2fc1 => "ZFS",
        _ => return None,
    })
}

/// The name of an open file, as good as the kernel knows it.
fn path_of(file: BorrowedFd<'_>) -> String {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_or_else(
        |_| format!("file descriptor {}", file.as_raw_fd()),
        |path| path.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_asked_for_as_a_whole() {
        // want, left in the file, room in the buffer
        assert_eq!(ask(10_000, 10_000, 1 << 20), 12_288);
        assert_eq!(ask(8192, 8192, 1 << 20), 8192);
        assert_eq!(ask(1, 1, 4096), 4096);
        // Not at the end of the file: as it is, for the kernel to judge.
        assert_eq!(ask(10_000, 10_001, 1 << 20), 10_000);
        // Never past the buffer, nor past the numbers.
        assert_eq!(ask(10_000, 10_000, 10_240), 10_240);
        assert_eq!(ask(u64::MAX - 1, u64::MAX - 1, u64::MAX), u64::MAX);
        // More than one call can move.
        assert_eq!(ask(5 << 30, 5 << 30, 6 << 30), 5 << 30);
    }

    /// A file and a buffer of these sizes; answers as splice(2) does.
    fn kernel(file: u64, buf: u64) -> impl Fn(u64, u64, u64) -> std::result::Result<u64, Errno> {
        const MAX_RW_COUNT: u64 = 0x7fff_f000;
        move |from, to, len| match (from | to | len) % 512 {
            0 if to >= buf => Err(Errno::NOSPC),
            0 => Ok(len
                .min(MAX_RW_COUNT)
                .min(buf - to)
                .min(file.saturating_sub(from))),
            _ => Err(Errno::INVAL),
        }
    }

    fn job(want: u64, file_end: u64, buf_end: u64) -> Job {
        Job {
            file_off: 0,
            buf_off: 0,
            want,
            file_end,
            buf_end,
        }
    }

    #[test]
    fn more_than_one_call_can_move() {
        let size = (5 << 30) + 100;
        let buf = 6 << 30;
        let mut calls = 0;
        let done = job(size, size, buf).run(|from, to, len| {
            calls += 1;
            kernel(size, buf)(from, to, len)
        });
        assert_eq!(done, Ok(size));
        assert_eq!(calls, 3);
    }

    #[test]
    fn interrupted_calls_are_repeated_short_ones_continued() {
        let mut answers = vec![
            Err(Errno::INTR),
            Ok(4096),
            Err(Errno::INTR),
            Ok(8192),
            Ok(4096),
        ]
        .into_iter();
        let mut asked = Vec::new();
        let done = job(16384, 1 << 20, 1 << 20).run(|from, to, len| {
            asked.push((from, to, len));
            answers.next().unwrap()
        });
        assert_eq!(done, Ok(16384));
        assert_eq!(
            asked,
            [
                (0, 0, 16384),
                (0, 0, 16384),
                (4096, 4096, 12288),
                (4096, 4096, 12288),
                (12288, 12288, 4096)
            ]
        );
    }

    #[test]
    fn a_failure_says_where_and_what_is_there() {
        let job = Job {
            file_off: 8192,
            ..job(16384, 1 << 20, 1 << 20)
        };
        let mut answers = vec![Ok(4096), Err(Errno::OPNOTSUPP)].into_iter();
        let stop = Stop {
            from: 12288,
            to: 4096,
            ask: 12288,
            done: 4096,
            errno: Errno::OPNOTSUPP,
        };
        assert_eq!(job.run(|_, _, _| answers.next().unwrap()), Err(stop));
    }

    #[test]
    fn a_file_that_changes_meanwhile() {
        // It was 1 MiB when looked at.
        let look = |now: u64| job(1 << 20, 1 << 20, 2 << 20).run(kernel(now, 2 << 20));
        assert_eq!(look(10_000), Ok(10_000));
        assert_eq!(look(0), Ok(0));
        assert_eq!(look(8192), Ok(8192));
        // It was 10 000 bytes, and has the whole block now.
        assert_eq!(
            job(10_000, 10_000, 1 << 20).run(kernel(1 << 20, 1 << 20)),
            Ok(10_000)
        );
    }

    fn fine() -> Facts {
        Facts {
            kernel_can: true,
            direct: true,
            readable: true,
            directory: false,
            hole: false,
            fs: None,
            block: 512,
        }
    }

    #[test]
    fn every_refusal_names_its_own_reason() {
        type Change = fn(&mut Facts);
        let table: &[(Errno, Change, [u64; 3], &str)] = &[
            (
                Errno::OPNOTSUPP,
                |f| f.direct = false,
                [0, 0, 4096],
                "not open for direct I/O",
            ),
            (
                Errno::OPNOTSUPP,
                |f| f.fs = Some("tmpfs"),
                [0, 0, 4096],
                "files on tmpfs",
            ),
            (
                Errno::OPNOTSUPP,
                |f| f.hole = true,
                [8192, 0, 4096],
                "a hole at offset 8192",
            ),
            (
                Errno::OPNOTSUPP,
                |_| (),
                [0, 0, 4096],
                "the disk, or a layer above it",
            ),
            (
                Errno::INVAL,
                |f| f.kernel_can = false,
                [0, 0, 4096],
                "knows no dma-bufs",
            ),
            (
                Errno::INVAL,
                |f| f.directory = true,
                [0, 0, 4096],
                "directory",
            ),
            (
                Errno::INVAL,
                |_| (),
                [3, 0, 4096],
                "file offset 3 is not a multiple of 512",
            ),
            (Errno::INVAL, |_| (), [0, 5, 4096], "buffer offset 5 is not"),
            (
                Errno::INVAL,
                |f| f.block = 4096,
                [0, 0, 512],
                "length 512 is not a multiple of 4096",
            ),
            (Errno::INVAL, |_| (), [0, 0, 512], ""),
            (
                Errno::BADF,
                |f| f.readable = false,
                [0, 0, 512],
                "the file is not open for reading",
            ),
            (
                Errno::BADF,
                |_| (),
                [0, 0, 512],
                "the dma-buf is not open for writing",
            ),
            (
                Errno::NOSPC,
                |_| (),
                [0, 9999, 512],
                "offset 9999 is past the end",
            ),
            (
                Errno::IO,
                |_| (),
                [4096, 0, 512],
                "could not read at offset 4096",
            ),
            (Errno::NODEV, |_| (), [0, 0, 512], "taken away"),
        ];
        for (errno, change, [file_off, buf_off, len], expected) in table {
            let mut facts = fine();
            change(&mut facts);
            let (reason, hint) = facts.why(*errno, *file_off, *buf_off, *len);
            assert!(
                reason.contains(expected),
                "{errno:?} gave '{reason}', not '{expected}'"
            );
            assert_eq!(
                reason.is_empty(),
                expected.is_empty(),
                "{errno:?} gave '{reason}'"
            );
            assert!(!hint.is_empty(), "{errno:?} '{expected}' gives no advice");
        }
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("dmabuf-test-{}-{name}", std::process::id()))
    }

    #[test]
    fn holes_and_sizes_of_real_files() {
        let path = scratch("sparse");
        let file = std::fs::File::create_new(&path).unwrap();
        std::os::unix::fs::FileExt::write_at(&file, &[1; 4096], 1 << 20).unwrap();
        file.set_len(3 << 20).unwrap();
        let _ = std::fs::remove_file(&path);

        assert_eq!(file_size(&file), Ok(3 << 20));
        assert!(starts_with_hole(file.as_fd(), 0));
        assert!(!starts_with_hole(file.as_fd(), 1 << 20));
        assert!(starts_with_hole(file.as_fd(), 2 << 20));
    }

    #[test]
    fn facts_of_a_descriptor() {
        let dir = std::fs::File::open("/").unwrap();
        let facts = Facts::of(dir.as_fd(), 0);
        assert!(facts.directory && facts.readable && !facts.direct);

        let proc = std::fs::File::open("/proc/self/maps").unwrap();
        assert_eq!(Facts::of(proc.as_fd(), 0).fs, Some("proc"));

        let null = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .unwrap();
        assert!(!Facts::of(null.as_fd(), 0).readable);
    }
}
