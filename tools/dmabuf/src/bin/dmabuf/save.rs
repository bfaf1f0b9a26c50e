// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::measure::{self, Sha};
use crate::options::{self, Moved, Progress};
use crate::{Result, about, print};
use dmabuf::units::bytes;
use dmabuf::{By, Call, DmaBuf, Errno, Error};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Fill dma-bufs and save them to a file.
///
/// Stands for a device that fills dma-bufs, such as a camera, and a program
/// that writes them to a disk without touching them. The buffers are filled
/// from standard input, or from another file by --from; each is then written by
/// one of the system calls that know dma-bufs, and in the end the file is
/// brought to the disk by fsync(2).
///
/// A file that exists is overwritten. On ext4, XFS, F2FS or a raw disk, and
/// that on NVMe, whole blocks go directly from the buffers to the disk; the rest
/// is copied by the CPU, and the result says why. Only one buffer is needed at
/// a time. The time is that of writing and fsync(2), not of filling.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, disk, pipe or device to write
    file: PathBuf,

    /// Fill the buffers from this file, not from standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    #[command(flatten)]
    source: options::Source,

    #[command(flatten)]
    transfer: options::Transfer,

    /// Compare SHA-256 of what the buffers held, seen by mmap, with the file
    /// read plainly
    #[arg(long)]
    verify: bool,

    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dmabuf save frames.raw --from /dev/nvme1n1      disk to disk through dma-bufs
  head -c 1G /dev/urandom | dmabuf save a.bin     what a program produces
  dmabuf save a.bin --from b.bin --no-copy        fail rather than copy; the size
                                                  of b.bin must be in whole blocks
  dmabuf save a.bin --from b.bin --call sendfile --verify";

#[derive(Serialize)]
struct Outcome {
    file: PathBuf,
    call: &'static str,
    bytes: u64,
    buffer_bytes: u64,
    exporter: String,
    seconds: f64,
    mb_per_second: f64,
    #[serde(flatten)]
    moved: Moved,
    sha256: Option<String>,
    sha256_equal: Option<bool>,
}

/// What the buffers are filled from.
enum Input {
    File { fd: OwnedFd, stream: bool },
    Stdin,
}

impl Input {
    /// Fills a buffer from its start and says how far: all of it, unless the
    /// input ends.
    fn fill(&self, buf: &mut DmaBuf, off: u64, len: u64) -> Result<u64> {
        match self {
            Input::File { fd, stream } => {
                let off = (!stream).then_some(off);
                Ok(buf.load_by(By::default(), fd, off, 0, len)?)
            }
            Input::Stdin => {
                let mut bytes = buf.cpu_write()?;
                let n = fill_from(rustix::stdio::stdin(), &mut bytes[..len as usize])?;
                Ok(n as u64)
            }
        }
    }
}

fn fill_from(file: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut bytes[done..])) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(errno) => return Err(Error::new("standard input", errno).into()),
        }
    }
    Ok(done)
}

pub fn run(args: &Args) -> Result<()> {
    let by = args.transfer.by()?;
    let (input, size) = match &args.from {
        Some(path) => {
            let fd = dmabuf::open(path)?;
            let stream = dmabuf::is_stream(&fd);
            let size = match stream {
                true => None,
                false => Some(dmabuf::file_size(&fd)?).filter(|size| *size > 0),
            };
            (Input::File { fd, stream }, size)
        }
        None => (Input::Stdin, None),
    };
    if let Some(from) = &args.from {
        not_the_same(from, &args.file)?;
    }
    let allocator = args.source.open()?;
    let chunk = args.source.chunk;
    options::enough_memory(chunk)?;
    let mut buf = allocator.allocate(chunk)?;
    let file = dmabuf::create(&args.file)?;
    let stream = dmabuf::is_stream(&file);
    if stream && args.verify {
        return Err(format!(
            "{}: --verify reads the file again, which this one does not allow: \
             save to an ordinary file, or leave --verify out",
            args.file.display()
        )
        .into());
    }

    let progress = Progress::new(size);
    let mut moved = Moved::nothing();
    let mut sha = Sha::new(u64::MAX);
    let mut saved = 0;
    let mut busy = Duration::ZERO;
    loop {
        let len = chunk.min(size.map_or(chunk, |size| size - saved));
        let filled = input.fill(&mut buf, saved, len)?;
        if filled == 0 {
            break;
        }
        if args.verify {
            sha.update(&buf.cpu_read()?[..filled as usize]);
        }

        let before = buf.stats()?.io;
        let start = Instant::now();
        let off = (!stream).then_some(saved);
        let n = buf.save_by(by, &file, off, 0, filled)?;
        busy += start.elapsed();
        let io = buf.stats()?.io;
        let now = io.zip(before).map(|(after, before)| after.since(&before));
        moved.add(now.as_ref(), false);

        saved += n;
        progress.at(saved);
        if n < filled {
            return Err(format!(
                "{}: it takes no more than {}: is the disk smaller than the data?",
                args.file.display(),
                bytes(saved)
            )
            .into());
        }
        if filled < chunk || size == Some(saved) {
            break;
        }
    }
    let start = Instant::now();
    to_disk(file.as_fd()).map_err(|errno| {
        Error::new(args.file.display().to_string(), errno)
            .hint("fsync(2) failed: what was saved may be lost; dmesg may say more")
    })?;
    busy += start.elapsed();
    progress.done();

    let mut outcome = Outcome {
        file: args.file.clone(),
        call: by.call.name(),
        bytes: saved,
        buffer_bytes: buf.size(),
        exporter: buf.stats()?.exporter,
        seconds: busy.as_secs_f64(),
        mb_per_second: options::mb_per_second(saved, busy),
        moved,
        sha256: None,
        sha256_equal: None,
    };
    if args.verify {
        let plain = std::fs::File::open(&args.file).map_err(about(&args.file))?;
        let got = measure::sha_of_file(&plain, saved)?;
        outcome.sha256_equal = Some(got == sha.finish());
        outcome.sha256 = Some(got);
    }

    if args.json {
        print(&format!("{}\n", serde_json::to_string(&outcome)?))?;
    } else {
        print(&text(&outcome))?;
    }
    match outcome.sha256_equal {
        Some(false) => Err(format!(
            "{}: FAILED: the file does not hold what the buffers did: \
             save it when nobody else writes to it; if nobody did, dmesg may say more",
            args.file.display()
        )
        .into()),
        _ => Ok(()),
    }
}

/// Emptying the file to write would empty the one to read.
fn not_the_same(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let id = |path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    match (id(from), id(to)) {
        (Ok(from), Ok(to_id)) if from == to_id => Err(format!(
            "{}: it is the file to read from: save to another one",
            to.display()
        )
        .into()),
        _ => Ok(()),
    }
}

/// Streams have no disk to go to.
fn to_disk(file: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    match rustix::io::retry_on_intr(|| rustix::fs::fsync(file)) {
        Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        answer => answer,
    }
}

fn text(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {} from {} dma-bufs of {}",
        outcome.file.display(),
        bytes(outcome.bytes),
        outcome.exporter,
        bytes(outcome.buffer_bytes),
    );
    if outcome.call != Call::Splice.name() {
        text += &format!(" by {}", outcome.call);
    }
    text += &format!(
        ", {:.2} s with fsync, {:.0} MB/s\n{}",
        outcome.seconds,
        outcome.mb_per_second,
        outcome.moved.text()
    );
    if let (Some(sha), Some(equal)) = (&outcome.sha256, outcome.sha256_equal) {
        let equal = if equal { "equal" } else { "NOT EQUAL" };
        text += &format!("SHA-256 of buffers and file {equal}: {sha}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_saved_to_itself() {
        use std::path::Path;
        let null = Path::new("/dev/null");
        let error = not_the_same(null, null).unwrap_err().to_string();
        assert!(error.starts_with("/dev/null: "), "{error}");
        assert!(not_the_same(null, Path::new("/dev/zero")).is_ok());
        assert!(not_the_same(null, Path::new("/no/such/file")).is_ok());
    }

    #[test]
    fn short_reads_are_continued_to_the_end() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"abc").unwrap();
        drop(write);
        let mut bytes = [0; 8];
        assert_eq!(fill_from(read.as_fd(), &mut bytes).unwrap(), 3);
        assert_eq!(&bytes[..4], b"abc\0");
    }

    #[test]
    fn the_text_says_what_was_copied() {
        let outcome = Outcome {
            file: "a.bin".into(),
            call: "sendfile",
            bytes: 8 << 20,
            buffer_bytes: 32 << 20,
            exporter: "udmabuf".into(),
            seconds: 0.5,
            mb_per_second: 16.8,
            moved: Moved::nothing(),
            sha256: Some("12ab".into()),
            sha256_equal: Some(true),
        };
        assert_eq!(
            text(&outcome),
            "a.bin: 8 MiB from udmabuf dma-bufs of 32 MiB by sendfile, \
             0.50 s with fsync, 17 MB/s\n\
             by DMA 0, copied by the CPU 0\n\
             SHA-256 of buffers and file equal: 12ab\n"
        );
    }
}
