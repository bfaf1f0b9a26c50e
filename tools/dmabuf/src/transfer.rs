// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A file into a buffer and a buffer into a file, in as many calls as it
//! takes, and a precise answer when it cannot be.

use crate::{BLOCK, Call, DmaBuf, Error, Flags, Result, uapi, units};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, StatxFlags};
use rustix::io::{Errno, retry_on_intr};
use std::path::Path;

/// Opens a file or a disk for reading, past the page cache (`O_DIRECT`) where
/// its file system can; elsewhere [`DmaBuf::load`] copies.
///
/// ```
/// // A device that knows no direct I/O.
/// assert!(dmabuf::open("/dev/zero").is_ok());
/// assert!(dmabuf::open_direct("/dev/zero").is_err());
/// ```
pub fn open(path: impl AsRef<Path>) -> Result<OwnedFd> {
    open_as(path.as_ref(), OFlags::RDONLY, true)
}

/// Opens a file or a disk for reading, past the page cache (`O_DIRECT`), or
/// not at all.
pub fn open_direct(path: impl AsRef<Path>) -> Result<OwnedFd> {
    open_as(path.as_ref(), OFlags::RDONLY, false)
}

/// Makes a file, or empties the one that is there, for [`DmaBuf::save`]: open
/// for writing, past the page cache (`O_DIRECT`) where its file system can. A
/// disk is opened as it is.
pub fn create(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    open_as(path.as_ref(), flags, true)
}

fn open_as(path: &Path, flags: OFlags, otherwise_buffered: bool) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let mut answer = rustix::fs::open(path, flags | OFlags::DIRECT, mode);
    if otherwise_buffered && answer.as_ref().err() == Some(&Errno::INVAL) {
        answer = rustix::fs::open(path, flags, mode);
    }
    answer.map_err(|errno| {
        let error = Error::new(path.display().to_string(), errno);
        match errno {
            Errno::INVAL if !otherwise_buffered => error
                .reason("its file system has no direct I/O (O_DIRECT)")
                .hint("put the file on ext4, XFS or F2FS, or read the raw disk"),
            Errno::NOENT => error.hint("check the name"),
            Errno::ACCESS | Errno::PERM => error.hint("get permission, or run as root"),
            Errno::ROFS => error.hint("mount it for writing, or choose another place"),
            Errno::ISDIR => error.hint("name a file in it"),
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

/// Whether the file is read from front to back and has no size: a pipe, a
/// socket, a terminal, a character device.
///
/// ```
/// let zero = std::fs::File::open("/dev/zero").unwrap();
/// assert!(dmabuf::is_stream(&zero));
/// ```
pub fn is_stream(file: impl AsFd) -> bool {
    let mode = rustix::fs::fstat(file).map_or(0, |stat| stat.st_mode);
    !matches!(
        FileType::from_raw_mode(mode),
        FileType::RegularFile | FileType::BlockDevice | FileType::Directory
    )
}

/// By which call, and whether copying is allowed: what [`DmaBuf::load_by`] and
/// [`DmaBuf::save_by`] want to know.
///
/// ```
/// use dmabuf::{By, Call, Flags};
/// let strict = By { flags: Flags::NOCOPY, ..By::default() };
/// assert_eq!(strict.call, Call::Splice);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct By {
    /// The system call.
    pub call: Call,
    /// Its flags. sendfile(2) has none.
    pub flags: Flags,
}

impl DmaBuf {
    /// Loads up to `len` bytes of `file`, from `file_off` on, into this
    /// buffer at `buf_off`, and returns how many are there now: `len`, or
    /// fewer if the file or the buffer ends before.
    ///
    /// Any file, any offset, any length: it takes as many calls as necessary.
    /// What is aligned to [`BLOCK`](crate::BLOCK)s goes directly if `file` is
    /// open with `O_DIRECT` ([`open`]) and its file system and disk can, the
    /// rest is copied. [`DmaBuf::stats`] tells how much and why. The last,
    /// partial block of a file is read as a whole, so that up to 4095 bytes of
    /// the buffer after the end may change.
    ///
    /// # Errors
    ///
    /// The error names the pair, the reason and what to try next. What was
    /// loaded before it stays in the buffer.
    pub fn load(&mut self, file: impl AsFd, file_off: u64, buf_off: u64, len: u64) -> Result<u64> {
        self.load_by(By::default(), file, file_off, buf_off, len)
    }

    /// As [`DmaBuf::load`], by the call of your choice. A `file_off` of `None`
    /// is the file's own position, which moves; streams have no other.
    ///
    /// sendfile(2) writes at the buffer's own position: `buf_off` has to be
    /// that, which is 0 in a new buffer and only ever moves forward.
    ///
    /// ```no_run
    /// use dmabuf::{By, Call, Flags, Heap};
    ///
    /// # fn main() -> Result<(), dmabuf::Error> {
    /// let file = dmabuf::open("weights.bin")?;
    /// let mut buf = Heap::open("system")?.allocate(32 << 20)?;
    /// let directly = By { call: Call::CopyFileRange, flags: Flags::NOCOPY };
    /// if let Err(why) = buf.load_by(directly, &file, 0, 0, 32 << 20) {
    ///     eprintln!("it would have to be copied: {why}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn load_by(
        &mut self,
        by: By,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: u64,
        len: u64,
    ) -> Result<u64> {
        let (file, file_off) = (file.as_fd(), file_off.into());
        let way = Way {
            by,
            direction: Direction::Load,
            file,
            file_off,
        };
        let size = self.size();
        if len > 0 && buf_off >= size {
            return Err(self.explain(&way, way.stop_at(buf_off, len, Errno::NOSPC)));
        }
        if let Some(errno) = way.impossible(self, buf_off) {
            return Err(self.explain(&way, way.stop_at(buf_off, len, errno)));
        }
        // Streams, and files of the kernel that say 0, end when they end.
        let end = match file_off {
            Some(_) => Some(file_size(file)?).filter(|end| *end > 0),
            None => None,
        };
        let start = file_off.unwrap_or(0);
        let room = size - buf_off.min(size);
        let job = Job {
            start,
            want: len
                .min(room)
                .min(end.map_or(u64::MAX, |end| end.saturating_sub(start))),
            file_left: end.map_or(u64::MAX, |end| end.saturating_sub(start)),
            room,
            whole_blocks: true,
        };
        job.run(|done, ask| {
            let (from, to) = (file_off.map(|off| off + done), buf_off + done);
            match by.call {
                Call::Splice => self.splice_from(file, from, to, ask, by.flags),
                Call::CopyFileRange => self.copy_file_range_from(file, from, to, ask, by.flags),
                Call::Sendfile => self.sendfile_from(file, from, ask),
            }
        })
        .map_err(|stop| self.explain(&way, stop.at(&way, buf_off)))
    }

    /// Saves up to `len` bytes of this buffer, from `buf_off` on, to `file` at
    /// `file_off`, and returns how many are there now: `len`, or fewer if the
    /// buffer ends before.
    ///
    /// As with [`DmaBuf::load`], anything goes, and whole blocks go directly if
    /// `file` is open with `O_DIRECT` ([`create`]). What was copied is in the
    /// page cache until fsync(2), as after any write.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buf = dmabuf::Heap::open("system")?.allocate(1 << 20)?;
    /// let file = dmabuf::create("frame.raw")?;
    /// buf.save(&file, 0, 0, buf.size())?;
    /// std::fs::File::from(file).sync_all()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error names the pair, the reason and what to try next. What was
    /// saved before it stays in the file.
    pub fn save(&self, file: impl AsFd, file_off: u64, buf_off: u64, len: u64) -> Result<u64> {
        self.save_by(By::default(), file, file_off, buf_off, len)
    }

    /// As [`DmaBuf::save`], by the call of your choice. A `file_off` of `None`
    /// is the file's own position, which moves; streams have no other.
    ///
    /// sendfile(2) always writes there: with it, a `file_off` sets the position
    /// of `file` first.
    pub fn save_by(
        &self,
        by: By,
        file: impl AsFd,
        file_off: impl Into<Option<u64>>,
        buf_off: u64,
        len: u64,
    ) -> Result<u64> {
        let (file, file_off) = (file.as_fd(), file_off.into());
        let way = Way {
            by,
            direction: Direction::Save,
            file,
            file_off,
        };
        let stop = |errno| self.explain(&way, way.stop_at(buf_off, len, errno));
        if let Some(errno) = way.impossible(self, buf_off) {
            return Err(stop(errno));
        }
        if let (Call::Sendfile, Some(off)) = (by.call, file_off) {
            rustix::fs::seek(file, SeekFrom::Start(off)).map_err(stop)?;
        }
        let room = self.size().saturating_sub(buf_off);
        let job = Job {
            start: 0,
            want: len.min(room),
            file_left: u64::MAX,
            room,
            whole_blocks: false,
        };
        job.run(|done, ask| {
            let (from, to) = (buf_off + done, file_off.map(|off| off + done));
            match by.call {
                Call::Splice => self.splice_to(file, to, from, ask, by.flags),
                Call::CopyFileRange => self.copy_file_range_to(file, to, from, ask, by.flags),
                Call::Sendfile => self.sendfile_to(file, from, ask),
            }
        })
        .map_err(|stop| self.explain(&way, stop.at(&way, buf_off)))
    }

    fn explain(&self, way: &Way<'_>, stop: Stopped) -> Error {
        let stats = self.stats().unwrap_or_default();
        let file = path_of(way.file);
        let buf = format!(
            "{} dma-buf of {}",
            stats.exporter,
            units::bytes(self.size())
        );
        let object = match way.direction {
            Direction::Load => format!("{file} -> {buf}"),
            Direction::Save => format!("{buf} -> {file}"),
        };
        let facts = Facts {
            kernel_can: stats.io.is_some(),
            position: stats.position,
            ..Facts::of(way.file, way.direction, stop.file_off)
        };
        let (mut reason, hint) = facts.why(way.by, &stop);
        if stop.done > 0 {
            if reason.is_empty() {
                reason = crate::error::text(stop.errno);
            }
            reason = format!("after {}: {reason}", units::bytes(stop.done));
        }
        let error = Error::new(object, stop.errno);
        let error = match reason.is_empty() {
            true => error,
            false => error.reason(reason),
        };
        error.hint(hint)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    Load,
    Save,
}

/// One end of a transfer and how it is done; the other end is the buffer.
struct Way<'a> {
    by: By,
    direction: Direction,
    file: BorrowedFd<'a>,
    file_off: Option<u64>,
}

impl Way<'_> {
    /// What sendfile(2) would do, but not as it was asked to.
    fn impossible(&self, buf: &DmaBuf, buf_off: u64) -> Option<Errno> {
        if self.by.call != Call::Sendfile {
            return None;
        }
        let elsewhere = self.direction == Direction::Load
            && buf.stats().is_ok_and(|stats| stats.position != buf_off);
        (self.by.flags != Flags::NONE || elsewhere).then_some(Errno::INVAL)
    }

    fn stop_at(&self, buf_off: u64, ask: u64, errno: Errno) -> Stopped {
        let stop = Stop {
            ask,
            done: 0,
            errno,
        };
        stop.at(self, buf_off)
    }
}

/// A transfer, apart from who does it.
struct Job {
    /// In the file.
    start: u64,
    want: u64,
    /// To the end of the file that is read.
    file_left: u64,
    /// To the end of the buffer.
    room: u64,
    /// May move more than is wanted, to end at a whole block.
    whole_blocks: bool,
}

/// When a transfer stopped, and why.
#[derive(Debug, PartialEq)]
struct Stop {
    ask: u64,
    done: u64,
    errno: Errno,
}

impl Stop {
    fn at(self, way: &Way<'_>, buf_off: u64) -> Stopped {
        Stopped {
            file_off: way.file_off.map_or(0, |off| off + self.done),
            buf_off: buf_off + self.done,
            ask: self.ask,
            done: self.done,
            errno: self.errno,
        }
    }
}

/// And where.
#[derive(Debug, Clone, Copy)]
struct Stopped {
    file_off: u64,
    buf_off: u64,
    ask: u64,
    done: u64,
    errno: Errno,
}

impl Job {
    /// Calls until everything is there or nothing more comes.
    fn run(
        &self,
        mut call: impl FnMut(u64, u64) -> std::result::Result<u64, Errno>,
    ) -> std::result::Result<u64, Stop> {
        let mut done = 0;
        while done < self.want {
            let ask = self.ask(done);
            match retry_on_intr(|| call(done, ask)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(errno) => return Err(Stop { ask, done, errno }),
            }
        }
        // A file that grew meanwhile may have filled the last block.
        Ok(done.min(self.want))
    }

    /// How much to ask for when `done` bytes are there: the last, partial
    /// block of a file goes directly only as a whole, if the buffer has room
    /// for it.
    fn ask(&self, done: u64) -> u64 {
        let want = self.want - done;
        if !self.whole_blocks || self.want < self.file_left {
            return want;
        }
        let at = self.start + done;
        match at
            .checked_add(want)
            .and_then(|end| end.checked_next_multiple_of(BLOCK))
        {
            Some(end) => (end - at).min(self.room - done),
            None => want,
        }
    }
}

/// What decides whether a transfer can be done, and directly, gathered only
/// after it could not.
#[derive(Debug, Clone)]
struct Facts {
    kernel_can: bool,
    direction: Direction,
    direct: bool,
    append: bool,
    /// Open for the direction of the transfer.
    open_for_it: bool,
    directory: bool,
    stream: bool,
    dmabuf: bool,
    hole: bool,
    /// Name of a file system that does not do it.
    fs: Option<String>,
    block: u64,
    /// Of the buffer's descriptor.
    position: u64,
}

impl Facts {
    fn of(file: BorrowedFd<'_>, direction: Direction, off: u64) -> Facts {
        let flags = rustix::fs::fcntl_getfl(file).unwrap_or(OFlags::empty());
        let access = flags & (OFlags::RDONLY | OFlags::WRONLY | OFlags::RDWR);
        let mode = rustix::fs::fstat(file).map_or(0, |stat| stat.st_mode);
        let kind = FileType::from_raw_mode(mode);
        let other_way = match direction {
            Direction::Load => OFlags::WRONLY,
            Direction::Save => OFlags::RDONLY,
        };
        let name = path_of(file);
        Facts {
            kernel_can: true,
            direction,
            direct: flags.contains(OFlags::DIRECT),
            append: flags.contains(OFlags::APPEND),
            open_for_it: access != other_way && !flags.contains(OFlags::PATH),
            directory: kind == FileType::Directory,
            stream: is_stream(file),
            dmabuf: name.starts_with("/dmabuf:") || name.starts_with("anon_inode:dmabuf"),
            hole: direction == Direction::Load
                && kind == FileType::RegularFile
                && starts_with_hole(file, off),
            fs: match kind {
                FileType::RegularFile => file_system(file).filter(|fs| !capable(fs)),
                _ => None,
            },
            block: rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
                .map_or(0, |stat| u64::from(stat.stx_dio_offset_align))
                .clamp(512, BLOCK),
            position: 0,
        }
    }

    /// Reason and advice; an empty reason leaves the error number's own text.
    fn why(&self, by: By, stop: &Stopped) -> (String, String) {
        let load = self.direction == Direction::Load;
        let (reason, hint): (String, String) = match stop.errno {
            Errno::OPNOTSUPP if by.flags.contains(Flags::NOCOPY) => self.why_copied(stop),
            Errno::OPNOTSUPP => (
                "this must be copied, and the CPU has no access to the buffer".into(),
                "use a file that can go directly: open with O_DIRECT, in whole blocks, \
                 on ext4, XFS, F2FS or a raw NVMe disk"
                    .into(),
            ),
            Errno::INVAL | Errno::ISDIR if self.directory => (
                "it is a directory".into(),
                "name one of the files in it".into(),
            ),
            Errno::INVAL if !self.kernel_can => (
                format!("this kernel's {} knows no dma-bufs", by.call),
                "boot a kernel with dma-buf direct I/O".into(),
            ),
            Errno::INVAL if self.dmabuf => (
                "both ends are dma-bufs".into(),
                "copy between them by the device that uses them, or by mmap".into(),
            ),
            Errno::INVAL if by.call == Call::Sendfile && by.flags != Flags::NONE => (
                "sendfile(2) has no flags".into(),
                "use splice or copy-file-range to forbid copies".into(),
            ),
            Errno::INVAL if by.call == Call::Sendfile && load && self.position != stop.buf_off => (
                format!(
                    "sendfile(2) writes at the buffer's own position, {}, not at {}",
                    self.position, stop.buf_off
                ),
                "use splice or copy-file-range, or a new buffer".into(),
            ),
            Errno::INVAL | Errno::BADF if self.append && !load => (
                "the file is open for appending".into(),
                "open it without O_APPEND".into(),
            ),
            Errno::INVAL if self.stream && by.call != Call::Splice => (
                format!("{} does not take such a file", by.call),
                "use splice".into(),
            ),
            Errno::INVAL => {
                let odd = |what: &str, n: u64| {
                    (n % self.block != 0)
                        .then(|| format!("{what} {n} is not a multiple of {}", self.block))
                };
                match odd("file offset", stop.file_off)
                    .or_else(|| odd("length", stop.ask))
                    .or_else(|| odd("buffer offset", stop.buf_off))
                    .filter(|_| by.flags.contains(Flags::NOCOPY))
                {
                    Some(reason) => (
                        reason,
                        match load {
                            true => {
                                "direct I/O moves whole blocks of the disk; only the end of \
                                 the file may be in the middle of one: align it, or allow copies"
                            }
                            false => {
                                "direct I/O moves whole blocks of the disk: \
                                 fill the last one, or allow copies"
                            }
                        }
                        .into(),
                    ),
                    None if load => (
                        "the kernel cannot read this file by itself".into(),
                        "read it through a pipe: cat FILE | ...".into(),
                    ),
                    None => (
                        "the kernel cannot write this file by itself".into(),
                        "write it through a pipe: ... | cat >FILE".into(),
                    ),
                }
            }
            Errno::BADF if !self.open_for_it => match load {
                true => (
                    "the file is not open for reading".into(),
                    "open it with O_RDONLY or O_RDWR, without O_PATH".into(),
                ),
                false => (
                    "the file is not open for writing".into(),
                    "open it with O_WRONLY or O_RDWR, without O_PATH".into(),
                ),
            },
            Errno::BADF => (
                "the dma-buf is not open in this direction".into(),
                "allocate it with O_RDWR, as this library does".into(),
            ),
            Errno::NOSPC if load => (
                format!("offset {} is past the end of the buffer", stop.buf_off),
                "load into a larger buffer, or nearer to its start".into(),
            ),
            Errno::NOSPC | Errno::DQUOT => (
                String::new(),
                "remove something there, or save elsewhere".into(),
            ),
            Errno::FBIG => (
                String::new(),
                "`ulimit -f` and the file system limit the size of a file".into(),
            ),
            Errno::SPIPE => (
                "it is a stream and has no offsets".into(),
                "move it at its own position".into(),
            ),
            Errno::IO => {
                let verb = if load { "read" } else { "write" };
                (
                    format!("the disk could not {verb} at offset {}", stop.file_off),
                    "dmesg says more".into(),
                )
            }
            Errno::NODEV => (
                "the buffer's memory or the disk was taken away".into(),
                "start anew once the device is back".into(),
            ),
            _ => (String::new(), "dmesg may say more".into()),
        };
        (reason, hint)
    }

    /// Why it cannot go directly.
    fn why_copied(&self, stop: &Stopped) -> (String, String) {
        if !self.direct {
            (
                "the file is not open for direct I/O".into(),
                "open it with O_DIRECT, or allow copies".into(),
            )
        } else if let Some(fs) = &self.fs {
            (
                format!("files on {fs} and dma-bufs have no direct way"),
                "put the file on ext4, XFS or F2FS, use a raw disk, or allow copies".into(),
            )
        } else if self.hole {
            (
                format!(
                    "a hole at offset {}: nothing on the disk to read",
                    stop.file_off
                ),
                "allow copies, or load a copy made with `cp --sparse=never`".into(),
            )
        } else {
            (
                "its file system, the disk or a layer between them does not take dma-bufs".into(),
                "allow copies, or use ext4, XFS or F2FS on a disk whose driver does, such as \
                 NVMe; loop, brd, zram, dm-crypt and inline or encrypted data need the CPU"
                    .into(),
            )
        }
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

/// The type of the file system that a file is on.
fn file_system(file: BorrowedFd<'_>) -> Option<String> {
    let fdinfo = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let id = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?;
    match type_of_mount(&mounts, id.trim()) {
        Some(fs) => Some(fs.into()),
        // Mounted by the kernel for itself: a memfd.
        None => rustix::fs::fstatfs(file)
            .is_ok_and(|fs| fs.f_type as u64 == 0x0102_1994)
            .then(|| "tmpfs".into()),
    }
}

/// The word after the dash; what is before it varies.
fn type_of_mount<'a>(mounts: &'a str, id: &str) -> Option<&'a str> {
    let mount = mounts
        .lines()
        .find(|line| line.split(' ').next() == Some(id))?;
    mount.split_once(" - ")?.1.split(' ').next()
}

/// Whether files on it can go directly, if their disk can.
fn capable(fs: &str) -> bool {
    ["ext4", "xfs", "f2fs"].contains(&fs)
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

    fn job(want: u64, file_left: u64, room: u64) -> Job {
        Job {
            start: 0,
            want,
            file_left,
            room,
            whole_blocks: true,
        }
    }

    #[test]
    fn the_last_block_is_asked_for_as_a_whole() {
        // want, left in the file, room in the buffer
        assert_eq!(job(10_000, 10_000, 1 << 20).ask(0), 12_288);
        assert_eq!(job(8192, 8192, 1 << 20).ask(0), 8192);
        assert_eq!(job(1, 1, 4096).ask(0), 4096);
        assert_eq!(job(10_000, 10_000, 1 << 20).ask(8192), 4096);
        // Not at the end of the file: not a byte more.
        assert_eq!(job(10_000, 10_001, 1 << 20).ask(0), 10_000);
        // Never past the buffer, nor past the numbers.
        assert_eq!(job(10_000, 10_000, 10_240).ask(0), 10_240);
        assert_eq!(
            job(u64::MAX - 1, u64::MAX - 1, u64::MAX).ask(0),
            u64::MAX - 1
        );
        // More than one call can move.
        assert_eq!(job(5 << 30, 5 << 30, 6 << 30).ask(0), 5 << 30);
        // The block is one of the file, wherever the transfer starts.
        let later = Job {
            start: 100,
            ..job(9_900, 9_900, 1 << 20)
        };
        assert_eq!(later.ask(0), 12_288 - 100);
        // A file that is written gets no more than it should.
        let save = Job {
            whole_blocks: false,
            ..job(10_000, 10_000, 1 << 20)
        };
        assert_eq!(save.ask(0), 10_000);
    }

    /// A file and a buffer of these sizes; answers as splice(2) does.
    fn kernel(file: u64, buf: u64) -> impl Fn(u64, u64) -> std::result::Result<u64, Errno> {
        const MAX_RW_COUNT: u64 = 0x7fff_f000;
        move |done, len| match done >= buf {
            true => Err(Errno::NOSPC),
            false => Ok(len
                .min(MAX_RW_COUNT)
                .min(buf - done)
                .min(file.saturating_sub(done))),
        }
    }

    #[test]
    fn more_than_one_call_can_move() {
        let size = (5 << 30) + 100;
        let buf = 6 << 30;
        let mut calls = 0;
        let done = job(size, size, buf).run(|done, len| {
            calls += 1;
            kernel(size, buf)(done, len)
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
            Ok(8190),
            Ok(4098),
        ]
        .into_iter();
        let mut asked = Vec::new();
        let done = job(16384, 1 << 20, 1 << 20).run(|done, len| {
            asked.push((done, len));
            answers.next().unwrap()
        });
        assert_eq!(done, Ok(16384));
        assert_eq!(
            asked,
            [
                (0, 16384),
                (0, 16384),
                (4096, 12288),
                (4096, 12288),
                (12286, 4098)
            ]
        );
    }

    #[test]
    fn a_failure_says_where_and_what_is_there() {
        let mut answers = vec![Ok(4096), Err(Errno::OPNOTSUPP)].into_iter();
        let stop = job(16384, 1 << 20, 1 << 20)
            .run(|_, _| answers.next().unwrap())
            .unwrap_err();
        let expected = Stop {
            ask: 12288,
            done: 4096,
            errno: Errno::OPNOTSUPP,
        };
        assert_eq!(stop, expected);

        let file = std::fs::File::open("/dev/null").unwrap();
        let way = Way {
            by: By::default(),
            direction: Direction::Load,
            file: file.as_fd(),
            file_off: Some(8192),
        };
        let stopped = stop.at(&way, 512);
        assert_eq!((stopped.file_off, stopped.buf_off), (12288, 4608));
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

    fn fine(direction: Direction) -> Facts {
        Facts {
            kernel_can: true,
            direction,
            direct: true,
            append: false,
            open_for_it: true,
            directory: false,
            stream: false,
            dmabuf: false,
            hole: false,
            fs: None,
            block: 512,
            position: 0,
        }
    }

    #[test]
    fn every_refusal_names_its_own_reason() {
        type Change = fn(&mut Facts, &mut By);
        fn strict(_: &mut Facts, by: &mut By) {
            by.flags = Flags::NOCOPY;
        }
        use Direction::{Load, Save};
        let table: &[(Direction, Errno, Change, [u64; 3], &str)] = &[
            (
                Load,
                Errno::OPNOTSUPP,
                |f, by| {
                    strict(f, by);
                    f.direct = false;
                },
                [0, 0, 4096],
                "not open for direct I/O",
            ),
            (
                Load,
                Errno::OPNOTSUPP,
                |f, by| {
                    strict(f, by);
                    f.fs = Some("tmpfs".into());
                },
                [0, 0, 4096],
                "files on tmpfs",
            ),
            (
                Load,
                Errno::OPNOTSUPP,
                |f, by| {
                    strict(f, by);
                    f.hole = true;
                },
                [8192, 0, 4096],
                "a hole at offset 8192",
            ),
            (
                Save,
                Errno::OPNOTSUPP,
                strict,
                [0, 0, 4096],
                "the disk or a layer between",
            ),
            (
                Load,
                Errno::OPNOTSUPP,
                |_, _| (),
                [0, 0, 4096],
                "the CPU has no access",
            ),
            (
                Load,
                Errno::INVAL,
                |f, _| f.kernel_can = false,
                [0, 0, 4096],
                "splice(2) knows no dma-bufs",
            ),
            (
                Load,
                Errno::INVAL,
                |f, _| f.directory = true,
                [0, 0, 4096],
                "directory",
            ),
            (
                Load,
                Errno::ISDIR,
                |f, _| f.directory = true,
                [0, 0, 4096],
                "directory",
            ),
            (
                Save,
                Errno::INVAL,
                |f, _| f.dmabuf = true,
                [0, 0, 4096],
                "both ends are dma-bufs",
            ),
            (
                Save,
                Errno::INVAL,
                |f, _| f.append = true,
                [0, 0, 4096],
                "open for appending",
            ),
            (
                Save,
                Errno::BADF,
                |f, _| f.append = true,
                [0, 0, 4096],
                "open for appending",
            ),
            (
                Load,
                Errno::INVAL,
                |f, by| {
                    f.stream = true;
                    by.call = Call::CopyFileRange;
                },
                [0, 0, 4096],
                "copy_file_range(2) does not take",
            ),
            (
                Load,
                Errno::INVAL,
                |f, by| {
                    f.position = 512;
                    by.call = Call::Sendfile;
                },
                [0, 0, 4096],
                "own position, 512, not at 0",
            ),
            (
                Save,
                Errno::INVAL,
                |f, by| {
                    strict(f, by);
                    by.call = Call::Sendfile;
                },
                [0, 0, 4096],
                "sendfile(2) has no flags",
            ),
            (
                Load,
                Errno::INVAL,
                strict,
                [3, 0, 4096],
                "file offset 3 is not a multiple of 512",
            ),
            (
                Load,
                Errno::INVAL,
                strict,
                [0, 5, 4096],
                "buffer offset 5 is not",
            ),
            (
                Save,
                Errno::INVAL,
                |f, by| {
                    strict(f, by);
                    f.block = 4096;
                },
                [0, 0, 512],
                "length 512 is not a multiple of 4096",
            ),
            (
                Load,
                Errno::INVAL,
                |_, _| (),
                [3, 0, 512],
                "cannot read this file by itself",
            ),
            (
                Save,
                Errno::INVAL,
                |_, _| (),
                [0, 0, 512],
                "cannot write this file by itself",
            ),
            (
                Load,
                Errno::BADF,
                |f, _| f.open_for_it = false,
                [0, 0, 512],
                "the file is not open for reading",
            ),
            (
                Save,
                Errno::BADF,
                |f, _| f.open_for_it = false,
                [0, 0, 512],
                "the file is not open for writing",
            ),
            (
                Load,
                Errno::BADF,
                |_, _| (),
                [0, 0, 512],
                "the dma-buf is not open",
            ),
            (
                Load,
                Errno::NOSPC,
                |_, _| (),
                [0, 9999, 512],
                "offset 9999 is past the end",
            ),
            (Save, Errno::NOSPC, |_, _| (), [0, 0, 512], ""),
            (Save, Errno::FBIG, |_, _| (), [0, 0, 512], ""),
            (Load, Errno::SPIPE, |_, _| (), [0, 0, 512], "a stream"),
            (
                Load,
                Errno::IO,
                |_, _| (),
                [4096, 0, 512],
                "could not read at offset 4096",
            ),
            (
                Save,
                Errno::IO,
                |_, _| (),
                [4096, 0, 512],
                "could not write at offset 4096",
            ),
            (Load, Errno::NODEV, |_, _| (), [0, 0, 512], "taken away"),
        ];
        for (direction, errno, change, [file_off, buf_off, ask], expected) in table {
            let (mut facts, mut by) = (fine(*direction), By::default());
            change(&mut facts, &mut by);
            let stop = Stopped {
                file_off: *file_off,
                buf_off: *buf_off,
                ask: *ask,
                done: 0,
                errno: *errno,
            };
            let (reason, hint) = facts.why(by, &stop);
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

    #[test]
    fn types_of_mounts() {
        let mounts = "22 1 0:20 / / rw,relatime shared:1 - 9p /dev/root rw\n\
                      2 22 259:0 / /mnt/a\\040b rw - ext4 /dev/nvme0n1 rw\n";
        assert_eq!(type_of_mount(mounts, "22"), Some("9p"));
        assert_eq!(type_of_mount(mounts, "2"), Some("ext4"));
        assert_eq!(type_of_mount(mounts, "1"), None);
        assert!(capable("ext4") && !capable("9p"));
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
        let facts = Facts::of(dir.as_fd(), Direction::Load, 0);
        assert!(facts.directory && facts.open_for_it && !facts.direct);

        let proc = std::fs::File::open("/proc/self/maps").unwrap();
        let facts = Facts::of(proc.as_fd(), Direction::Load, 0);
        assert_eq!(facts.fs.as_deref(), Some("proc"));

        let memfd = crate::Memfd::new(4096).unwrap();
        let facts = Facts::of(memfd.as_fd(), Direction::Save, 0);
        assert_eq!(facts.fs.as_deref(), Some("tmpfs"));

        let null = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .unwrap();
        let facts = |direction| Facts::of(null.as_fd(), direction, 0);
        assert!(!facts(Direction::Load).open_for_it);
        assert!(facts(Direction::Save).open_for_it);
        assert!(facts(Direction::Load).stream);
    }

    #[test]
    fn direct_where_possible() {
        let path = scratch("open");
        let flags = |fd: &OwnedFd| rustix::fs::fcntl_getfl(fd).unwrap();
        let file = create(&path).unwrap();
        let again = open(&path).unwrap();
        let direct = open_direct(&path);
        let _ = std::fs::remove_file(&path);
        assert!(flags(&file).contains(OFlags::WRONLY));
        assert_eq!(
            flags(&again).contains(OFlags::DIRECT),
            direct.is_ok(),
            "open() is open_direct() where that works"
        );
        let error = create("/").unwrap_err();
        assert!(error.to_string().starts_with("/: "), "{error}");
    }
}
