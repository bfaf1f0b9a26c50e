// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::measure;
use crate::options::{chunk, enough_memory};
use crate::table::{self, Report, Way};
use crate::ways::{self, Allocator, Buffer, Direction, Kind};
use crate::{Result, about, chart, print};
use dmabuf::units::bytes;
use dmabuf::{Errno, Error, Mapping, Memfd};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Move a file in every way that Linux has, and count what each costs.
///
/// The ways: read() and write() of a memfd, of a memfd that is a dma-buf by
/// /dev/udmabuf, and of mmap()ed dma-bufs; sendfile(2), splice(2) and
/// copy_file_range(2) of dma-bufs by their descriptors; each with and without
/// O_DIRECT, from the file to memory and back. What Linux refuses is shown by
/// the name of the error.
///
/// Measured apart: creating the buffers, mapped and touched where a way goes by
/// address; moving the data, until it is on the disk (fdatasync) when a file is
/// written; closing the buffers. Everything runs once to warm up, in new
/// buffers each time, and the figures are medians of the repeats. Before each
/// time memory is compacted, as scattered buffers take more to map; the target
/// is overwritten; and the file leaves the page cache. After the last one all
/// of the target is compared with what was to be moved.
///
/// What is written goes to a file without a name beside FILE.
///
/// CPU time is what the kernel counts for this process, on both sides of the
/// system call; interrupts and kernel threads are not in it. Under QEMU's -icount
/// one nanosecond of it is one instruction, which is found out and said in the
/// result. Run it as root.
#[derive(clap::Args)]
pub struct Args {
    /// The file, on ext4, XFS or F2FS, without holes; or a disk, which is only read
    file: PathBuf,

    /// Size of one buffer, a multiple of 4KiB
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = chunk)]
    chunk: u64,

    /// How often to measure each way; an odd number has a median
    #[arg(long, value_name = "N", default_value = "3",
          value_parser = clap::value_parser!(u32).range(1..=99))]
    repeat: u32,

    /// In one direction only
    #[arg(long, value_name = "DIRECTION", value_enum)]
    only: Option<Direction>,

    /// Only the three ways that show the point: splice(2) into a dma-buf, and
    /// the two it replaces
    #[arg(long, conflicts_with = "only")]
    short: bool,

    /// Write the result as one line of JSON to this file, - for standard
    /// output, to be read by `dmabuf table`
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,

    /// Draw the result into this file, as bars
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
}

/// A file under test, open both ways.
struct Ends {
    direct: OwnedFd,
    plain: File,
}

struct Bench {
    source: Ends,
    /// What is written to, if anything is.
    target: Option<Ends>,
    /// What the file holds.
    data: Vec<u8>,
    /// A piece of memory that direct I/O accepts.
    aligned: Mapping,
    chunk: u64,
    repeat: u32,
}

const POISON: u8 = 0xa5;

pub fn run(args: &Args) -> Result<()> {
    let kinds: Vec<(Kind, String)> = match (args.short, args.only) {
        (true, _) => Kind::short()
            .iter()
            .map(|(kind, name)| (*kind, (*name).into()))
            .collect(),
        (false, Some(only)) => named(Kind::all(only)),
        (false, None) => {
            let both = [Direction::Read, Direction::Write].map(Kind::all);
            named(both.concat())
        }
    };
    let mut bench = Bench::new(args, &kinds)?;
    let mut report = Report {
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .into(),
        file: args.file.clone(),
        bytes: bench.data.len() as u64,
        buffer_bytes: args.chunk,
        counts_instructions: measure::clock_counts_instructions(),
        sha256: measure::sha_of(&bench.data),
        ways: Vec::new(),
    };
    let count = kinds.len();
    for (i, (kind, name)) in kinds.into_iter().enumerate() {
        if kind.direction == Direction::Write && bench.target.is_none() {
            continue;
        }
        eprintln!("dmabuf: {} of {count}: {name} ...", i + 1);
        let mut way = bench.measure(kind).unwrap_or_else(|error| Way {
            refused: refusal(&*error),
            error: Some(error.to_string()),
            ..Way::default()
        });
        way.name = name;
        way.kind = kind;
        report.ways.push(way);
    }
    report.derive();

    if let Some(path) = &args.svg {
        std::fs::write(path, chart::draw(&report, None)).map_err(about(path))?;
    }
    match &args.json {
        Some(path) => {
            let line = serde_json::to_string(&report)? + "\n";
            match path.as_os_str() == "-" {
                true => print(&line)?,
                false => {
                    std::fs::write(path, line).map_err(about(path))?;
                    print(&table::render(&report, None))?;
                }
            }
        }
        None => print(&table::render(&report, None))?,
    }
    table::failures(report.problems())
}

fn named(kinds: Vec<Kind>) -> Vec<(Kind, String)> {
    kinds.into_iter().map(|kind| (kind, kind.name())).collect()
}

/// The kernel's word for a way it refuses.
fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let symbol = |errno: &Errno| Error::new("", *errno).symbol();
    error
        .downcast_ref::<Errno>()
        .map(symbol)
        .or_else(|| error.downcast_ref::<Error>().map(Error::symbol))
}

impl Bench {
    fn new(args: &Args, kinds: &[(Kind, String)]) -> Result<Self> {
        let source = Ends {
            direct: dmabuf::open_direct(&args.file)?,
            plain: File::open(&args.file).map_err(about(&args.file))?,
        };
        let size = dmabuf::file_size(&source.direct)?;
        if size == 0 || size % args.chunk != 0 {
            return Err(format!(
                "{}: its size, {}, is not a multiple of the buffers' {}: \
                 all ways must move the same: give another file or --chunk",
                args.file.display(),
                bytes(size),
                bytes(args.chunk)
            )
            .into());
        }
        // The file, the buffers, the memory behind the page cache.
        enough_memory(size.saturating_mul(2) + args.chunk)?;
        let mut data = vec![0; size as usize];
        ways::read(&source.plain, 0, &mut data)?;

        let writes = kinds
            .iter()
            .any(|(kind, _)| kind.direction == Direction::Write);
        let disk = std::fs::metadata(&args.file).is_ok_and(|meta| !meta.is_file());
        let target = match writes && !disk {
            true => Some(Ends::without_name(&args.file)?),
            false => None,
        };
        if writes && disk {
            eprintln!(
                "dmabuf: {}: a disk is only read: give a file on it to see both directions",
                args.file.display()
            );
        }
        Ok(Bench {
            source,
            target,
            data,
            aligned: Memfd::new(args.chunk)?.map()?,
            chunk: args.chunk,
            repeat: args.repeat,
        })
    }

    fn measure(&mut self, kind: Kind) -> Result<Way> {
        let mut way = Way::default();
        let (mut create, mut io) = (Vec::new(), Vec::new());
        let (mut cpu, mut close) = (Vec::new(), Vec::new());
        // The first round warms up and is not counted.
        for round in 0..=self.repeat {
            let once = self.once(kind, round == self.repeat)?;
            if round == 0 {
                continue;
            }
            create.push(once.create.as_nanos() as u64);
            io.push(once.io.as_nanos() as u64);
            cpu.push(once.cpu.as_nanos() as u64);
            close.push(once.close.as_nanos() as u64);
            // If rounds differ, the worst is told.
            if round == 1 || once.dma < way.dma_bytes {
                way.dma_bytes = once.dma;
                way.copied_bytes = once.copied;
                way.copy_reason = once.reason;
            }
            way.cache_grown_bytes = way.cache_grown_bytes.max(once.grown);
        }
        way.create_ns = measure::median(create);
        way.elapsed_ns = measure::median(io);
        way.cpu_ns = measure::median(cpu);
        way.close_ns = measure::median(close);
        way.verified = true;
        Ok(way)
    }

    /// Once from new buffers to closed ones.
    fn once(&mut self, kind: Kind, verify: bool) -> Result<Once> {
        let allocator = Allocator::new(kind.memory)?;
        measure::compact_memory();
        let count = self.data.len() as u64 / self.chunk;
        let mut buffers = Vec::new();
        let (create, _) = measure::timed(|| {
            for _ in 0..count {
                buffers.push(allocator.allocate(self.chunk)?);
            }
            Ok(())
        })?;
        self.prepare(kind, &mut buffers)?;
        // Closing is to undo what the way has done, and no more.
        let unmap = |buffers: &mut Vec<Buffer>| {
            for buffer in buffers {
                buffer.unmap_if_only_looked_at(kind.memory);
            }
        };
        unmap(&mut buffers);

        let before = self.counts(kind, &buffers)?;
        let (io, cpu) = measure::timed(|| self.transfer(kind, &mut buffers))?;
        let after = self.counts(kind, &buffers)?;
        if verify {
            self.verify(kind, &buffers)?;
            unmap(&mut buffers);
        }
        let (close, _) = measure::timed(|| {
            drop(buffers);
            Ok(())
        })?;

        let mut once = Once {
            create,
            io,
            cpu,
            close,
            ..Once::default()
        };
        once.account(kind, self.data.len() as u64, &before, &after)?;
        Ok(once)
    }

    /// The file that the way works on.
    fn ends(&self, kind: Kind) -> Result<&Ends> {
        match (kind.direction, &self.target) {
            (Direction::Read, _) => Ok(&self.source),
            (Direction::Write, Some(target)) => Ok(target),
            (Direction::Write, None) => Err("nothing to write to".into()),
        }
    }

    /// Fills the target with something that is not the data, and the source,
    /// if that is the buffers, with the data.
    fn prepare(&mut self, kind: Kind, buffers: &mut [Buffer]) -> Result<()> {
        for (buffer, data) in buffers
            .iter_mut()
            .zip(self.data.chunks(self.chunk as usize))
        {
            buffer.edit(|bytes| match kind.direction {
                Direction::Read => bytes.fill(POISON),
                Direction::Write => bytes.copy_from_slice(data),
            })?;
        }
        if kind.direction == Direction::Write {
            self.aligned.fill(POISON);
            let target = self.ends(kind)?;
            for off in (0..self.data.len() as u64).step_by(self.chunk as usize) {
                ways::write(&target.direct, off, &self.aligned)?;
            }
        }
        measure::drop_cache(&self.ends(kind)?.plain)
    }

    /// This is what is measured.
    fn transfer(&self, kind: Kind, buffers: &mut [Buffer]) -> Result<()> {
        use rustix::fd::AsFd;
        let ends = self.ends(kind)?;
        let file = match kind.direct {
            true => ends.direct.as_fd(),
            false => ends.plain.as_fd(),
        };
        for (i, buffer) in buffers.iter_mut().enumerate() {
            buffer.transfer(kind, file, i as u64 * self.chunk, self.chunk)?;
        }
        if kind.direction == Direction::Write {
            rustix::fs::fdatasync(file)?;
        }
        Ok(())
    }

    fn verify(&mut self, kind: Kind, buffers: &[Buffer]) -> Result<()> {
        if kind.direction == Direction::Write {
            // Not what the page cache has, what the disk has.
            measure::drop_cache(&self.ends(kind)?.plain)?;
        }
        let chunks = self.data.chunks(self.chunk as usize);
        for (i, (buffer, data)) in buffers.iter().zip(chunks).enumerate() {
            let off = i as u64 * self.chunk;
            match (kind.direction, &self.target) {
                (Direction::Write, Some(target)) => {
                    ways::read(&target.direct, off, &mut self.aligned)?;
                    ways::equal(&self.aligned, data, off)?;
                }
                _ => buffer.look(|bytes| ways::equal(bytes, data, off))?,
            }
        }
        Ok(())
    }

    fn counts(&self, kind: Kind, buffers: &[Buffer]) -> Result<Counts> {
        let ends = self.ends(kind)?;
        let mut counts = Counts {
            dma: Some(0),
            copied: Some(0),
            reason: None,
            disk: measure::disk_bytes(&ends.plain).map(|(read, written)| match kind.direction {
                Direction::Read => read,
                Direction::Write => written,
            }),
            cache: measure::cached_bytes(&ends.plain)?,
        };
        for buffer in buffers {
            let io = buffer.counters()?;
            let (dma, copied) = match (&io, kind.direction) {
                (Some(io), Direction::Read) => (Some(io.dio_read_bytes), Some(io.copy_read_bytes)),
                (Some(io), Direction::Write) => {
                    (Some(io.dio_write_bytes), Some(io.copy_write_bytes))
                }
                (None, _) => (None, None),
            };
            counts.dma = counts.dma.zip(dma).map(|(a, b)| a + b);
            counts.copied = counts.copied.zip(copied).map(|(a, b)| a + b);
            counts.reason = io
                .and_then(|io| io.copy_reason)
                .map(|reason| reason.word().to_string())
                .or(counts.reason);
        }
        Ok(counts)
    }
}

impl Ends {
    /// A new file beside another, which has no name and so never stays.
    fn without_name(path: &Path) -> Result<Ends> {
        let mut name = path.as_os_str().to_owned();
        name.push(".dmabuf-compare");
        let name = PathBuf::from(name);
        let mut open = File::options();
        open.read(true).write(true);
        let plain = open.create_new(true).open(&name).map_err(|e| {
            let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
            let error = Error::new(name.display().to_string(), errno);
            match errno {
                Errno::EXIST => error.hint("remove it, if no other comparison is running"),
                _ => error.hint("use a file in a place that can be written, or --only read"),
            }
        })?;
        let direct = open
            .create_new(false)
            .custom_flags(libc::O_DIRECT)
            .open(&name);
        std::fs::remove_file(&name).map_err(about(&name))?;
        Ok(Ends {
            direct: direct.map_err(about(&name))?.into(),
            plain,
        })
    }
}

/// Counters that only grow, read before and after.
struct Counts {
    /// Of the buffers.
    dma: Option<u64>,
    copied: Option<u64>,
    reason: Option<String>,
    /// Of the disk.
    disk: Option<u64>,
    /// Of the file.
    cache: u64,
}

#[derive(Default)]
struct Once {
    create: Duration,
    io: Duration,
    cpu: Duration,
    close: Duration,
    dma: Option<u64>,
    copied: Option<u64>,
    reason: Option<String>,
    grown: u64,
}

impl Once {
    /// What went by DMA and what was copied. Buffers count what calls do that
    /// know them. Elsewhere, what came from the disk and not through the page
    /// cache went to the memory that was named, and what went through it was
    /// copied.
    fn account(&mut self, kind: Kind, size: u64, before: &Counts, after: &Counts) -> Result<()> {
        let delta = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_sub(b));
        self.grown = after.cache.saturating_sub(before.cache);
        // The journal and the like come on top.
        let disk = delta(after.disk, before.disk).map(|disk| disk.min(size));
        if !kind.knows_dma_bufs() {
            self.dma = disk.map(|disk| disk.saturating_sub(self.grown));
            self.copied = self.dma.map(|dma| size - dma);
            return Ok(());
        }
        self.dma = delta(after.dma, before.dma);
        self.copied = delta(after.copied, before.copied);
        self.reason = after.reason.clone().filter(|_| self.copied != Some(0));
        // What count independently have to agree.
        match (self.dma, self.copied, disk.filter(|disk| *disk > 0)) {
            (Some(dma), Some(copied), _) if dma + copied != size => Err(format!(
                "WRONG COUNT: {dma} bytes by DMA and {copied} copied are not {size}"
            )
            .into()),
            (Some(dma), _, Some(disk)) if dma > disk => Err(format!(
                "WRONG COUNT: {dma} bytes by DMA, but the disk moved only {disk}"
            )
            .into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(dma: Option<u64>, copied: Option<u64>, disk: Option<u64>, cache: u64) -> Counts {
        Counts {
            dma,
            copied,
            reason: Some("hole".into()),
            disk,
            cache,
        }
    }

    fn account(kind: Kind, after: Counts) -> Result<Once> {
        let mut once = Once::default();
        let before = counts(after.dma.map(|_| 0), after.copied.map(|_| 0), Some(7), 0);
        once.account(kind, 4096, &before, &after)?;
        Ok(once)
    }

    #[test]
    fn addresses_are_judged_by_disk_and_cache() {
        let kind = Kind::all(Direction::Write)[0];
        // Journal and all.
        let once = account(kind, counts(None, None, Some(7 + 9000), 4096)).unwrap();
        assert_eq!(
            (once.dma, once.copied, once.grown),
            (Some(0), Some(4096), 4096)
        );
        let once = account(kind, counts(None, None, Some(7 + 9000), 0)).unwrap();
        assert_eq!(
            (once.dma, once.copied, once.grown),
            (Some(4096), Some(0), 0)
        );
        let once = account(kind, counts(None, None, None, 0)).unwrap();
        assert_eq!((once.dma, once.copied), (None, None));
    }

    #[test]
    fn buffers_count_themselves_and_are_checked() {
        let kind = Kind::default();
        let once = account(kind, counts(Some(4000), Some(96), Some(8192), 0)).unwrap();
        assert_eq!((once.dma, once.copied), (Some(4000), Some(96)));
        assert_eq!(once.reason.as_deref(), Some("hole"));
        let once = account(kind, counts(Some(4096), Some(0), Some(8192), 0)).unwrap();
        assert_eq!(once.reason, None);
        assert!(account(kind, counts(None, None, Some(8192), 0)).is_ok());
        assert!(account(kind, counts(Some(4000), Some(0), Some(8192), 0)).is_err());
        assert!(account(kind, counts(Some(4096), Some(0), Some(519), 0)).is_err());
    }

    #[test]
    fn refusals_have_the_name_of_their_error() {
        type Any = Box<dyn std::error::Error>;
        let name = |error: Any| refusal(&*error);
        assert_eq!(name(Errno::FAULT.into()).as_deref(), Some("EFAULT"));
        let error = Error::new("/dev/udmabuf", Errno::NOENT);
        assert_eq!(name(error.into()).as_deref(), Some("ENOENT"));
        assert_eq!(name("WRONG DATA".into()), None);
    }

    #[test]
    fn the_file_to_write_leaves_nothing_behind() {
        let path = std::env::temp_dir().join(format!("dmabuf-target-{}", std::process::id()));
        let target = Ends::without_name(&path);
        let mut name = path.into_os_string();
        name.push(".dmabuf-compare");
        assert!(!Path::new(&name).exists());
        // The file system of /tmp need not know O_DIRECT.
        if let Ok(target) = target {
            ways::write(&target.plain, 0, b"x").unwrap();
        }
    }
}
