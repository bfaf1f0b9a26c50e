// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::load::chunk;
use crate::measure::{self, Idler, Sha};
use crate::table::{self, Report, Way};
use crate::{Result, about, print};
use dmabuf::units::bytes;
use dmabuf::{DmaBuf, Heap, Mapping, Memfd};
use rustix::fd::{AsFd, OwnedFd};
use std::fs::File;
use std::path::PathBuf;

/// Load a file in three ways, and count what each costs.
///
/// The ways: splice(2) straight into system-heap dma-bufs; read() through the
/// page cache into the same kind of dma-bufs, mmap()ed; and O_DIRECT read()
/// into memfds that are dma-bufs by /dev/udmabuf.
///
/// Measured is the load alone: buffers are allocated, mapped and touched
/// before, and everything ran once to warm up. Before each load the buffers
/// are overwritten and the file leaves the page cache; after the last one the
/// buffers are read back by mmap and their SHA-256 is compared with the file's.
/// The figures are medians of the repeats.
///
/// CPU time is what getrusage(2) counts for this process, on both sides of the
/// system call. On a machine with one CPU, interrupts and kernel threads are
/// counted as well, separately. Under QEMU's -icount one nanosecond of it is
/// one instruction, which is found out and said in the result. Run it as root.
#[derive(clap::Args)]
pub struct Args {
    /// The file, on ext4 or XFS, without holes
    file: PathBuf,

    /// Size of one buffer, a multiple of 4KiB
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = chunk)]
    chunk: u64,

    /// How often to measure each way; an odd number has a median
    #[arg(long, value_name = "N", default_value = "3",
          value_parser = clap::value_parser!(u32).range(1..=99))]
    repeat: u32,

    /// Write the result as one line of JSON to this file, - for standard
    /// output, to be read by `dmabuf table`
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

/// The file under test, open both ways.
struct Source {
    direct: OwnedFd,
    plain: File,
    bytes: u64,
    chunk: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let direct = dmabuf::open_direct(&args.file)?;
    let source = Source {
        bytes: dmabuf::file_size(&direct)?,
        plain: File::open(&args.file).map_err(about(&args.file))?,
        direct,
        chunk: args.chunk,
    };
    if source.bytes == 0 || source.bytes % args.chunk != 0 {
        return Err(format!(
            "{}: its size, {}, is not a multiple of the buffers' {}: \
             all ways must load the same: give another file or --chunk",
            args.file.display(),
            bytes(source.bytes),
            bytes(args.chunk)
        )
        .into());
    }

    let mut report = Report {
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .into(),
        file: args.file.clone(),
        bytes: source.bytes,
        buffer_bytes: args.chunk,
        counts_instructions: measure::clock_counts_instructions(),
        sha256: measure::sha_of_file(&source.plain, source.bytes)?,
        ways: Vec::new(),
    };
    for how in [How::Splice, How::Read, How::Memfd] {
        eprintln!("dmabuf: {} ...", how.name());
        let mut way = measure(how, &source, args.repeat).unwrap_or_else(|error| Way {
            error: Some(error.to_string()),
            ..Way::default()
        });
        way.name = how.name().into();
        report.ways.push(way);
    }

    match &args.json {
        Some(path) => {
            let line = serde_json::to_string(&report)? + "\n";
            match path.as_os_str() == "-" {
                true => print(&line)?,
                false => std::fs::write(path, line).map_err(about(path))?,
            }
        }
        None => print(&table::render(&report, None))?,
    }
    table::failures(report.problems())
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Splice,
    Read,
    Memfd,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            How::Splice => "splice(2) into a dma-buf",
            How::Read => "read() into a mmap()ed dma-buf",
            How::Memfd => "O_DIRECT read() into a udmabuf's memfd",
        }
    }
}

/// The buffers of one way.
struct Buffers {
    how: How,
    bufs: Vec<DmaBuf>,
    /// The memory behind them, where it has a name of its own.
    memory: Vec<Mapping>,
}

impl Buffers {
    fn new(how: How, source: &Source) -> Result<Self> {
        let (mut bufs, mut memory) = (Vec::new(), Vec::new());
        let heap = Heap::open("system");
        for _ in 0..source.bytes / source.chunk {
            if how == How::Memfd {
                let memfd = Memfd::new(source.chunk)?;
                bufs.push(memfd.udmabuf()?);
                memory.push(memfd.map()?);
            } else {
                bufs.push(
                    heap.as_ref()
                        .map_err(Clone::clone)?
                        .allocate(source.chunk)?,
                );
            }
        }
        Ok(Buffers { how, bufs, memory })
    }

    /// The load itself and nothing else: this is what is measured.
    fn load(&mut self, source: &Source) -> Result<()> {
        let mut off = 0;
        for (i, buf) in self.bufs.iter_mut().enumerate() {
            let n = match self.how {
                How::Splice => buf.load(&source.direct, off, 0, source.chunk)?,
                How::Read => read(&source.plain, &mut buf.cpu_write()?, off)?,
                How::Memfd => read(&source.direct, &mut self.memory[i], off)?,
            };
            if n != source.chunk {
                return Err(format!("only {} loaded at offset {off}", bytes(n)).into());
            }
            off += n;
        }
        Ok(())
    }

    /// Fills the buffers with something that is not the file, which also
    /// touches every page of them.
    fn poison(&mut self) -> Result<()> {
        const POISON: u8 = 0xa5;
        match self.how {
            How::Memfd => self.memory.iter_mut().for_each(|map| map.fill(POISON)),
            _ => {
                for buf in &mut self.bufs {
                    buf.cpu_write()?.fill(POISON);
                }
            }
        }
        Ok(())
    }

    fn sha256(&self, source: &Source) -> Result<String> {
        let mut sha = Sha::new(source.bytes);
        for buf in &self.bufs {
            sha.update(&buf.cpu_read()?);
        }
        Ok(sha.finish())
    }

    /// What the buffers themselves count as written by disks.
    fn dio_bytes(&self) -> Result<Option<u64>> {
        let mut sum = Some(0);
        for buf in &self.bufs {
            sum = sum.zip(buf.stats()?.dio_read_bytes).map(|(a, b)| a + b);
        }
        Ok(sum)
    }
}

/// pread(2) until the memory is full or the file ends.
fn read(file: impl AsFd, memory: &mut [u8], off: u64) -> Result<u64> {
    let mut done = 0;
    while done < memory.len() {
        match rustix::io::pread(&file, &mut memory[done..], off + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done as u64)
}

/// Counters that only grow, read before and after.
struct Counts {
    dio: Option<u64>,
    disk: Option<u64>,
    cache: u64,
}

impl Counts {
    fn now(buffers: &Buffers, source: &Source) -> Result<Self> {
        Ok(Counts {
            dio: buffers.dio_bytes()?,
            disk: measure::disk_read_bytes(&source.plain),
            cache: measure::cached_bytes(&source.plain)?,
        })
    }
}

fn measure(how: How, source: &Source, repeat: u32) -> Result<Way> {
    let mut buffers = Buffers::new(how, source)?;
    let mut way = Way::default();
    let (mut elapsed, mut cpu) = (Vec::new(), Vec::new());

    // The first round warms up and is not counted.
    for round in 0..=repeat {
        buffers.poison()?;
        measure::drop_cache(&source.plain)?;
        let before = Counts::now(&buffers, source)?;
        let (wall, busy) = measure::timed(|| buffers.load(source))?;
        let after = Counts::now(&buffers, source)?;
        if round == 0 {
            continue;
        }
        elapsed.push(wall.as_nanos() as u64);
        cpu.push(busy.as_nanos() as u64);

        let grown = after.cache.saturating_sub(before.cache);
        let delta = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a - b);
        let dma = match how {
            How::Splice => delta(after.dio, before.dio),
            // What came from the disk and not through the page cache went to
            // the memory that was named. What went through it was copied.
            _ => delta(after.disk, before.disk).map(|disk| disk.saturating_sub(grown)),
        }
        .map(|dma| dma.min(source.bytes));
        // If rounds differ, the worst is told.
        if round == 1 || dma < way.dma_bytes {
            way.dma_bytes = dma;
        }
        way.cache_grown_bytes = way.cache_grown_bytes.max(grown);
    }
    way.copied_bytes = way.dma_bytes.map(|dma| source.bytes - dma);
    way.elapsed_ns = measure::median(elapsed);
    way.cpu_ns = measure::median(cpu);

    if let Some(idler) = Idler::start() {
        buffers.poison()?;
        measure::drop_cache(&source.plain)?;
        let busy = idler.busy(|| buffers.load(source))?;
        way.machine_ns = Some(busy.as_nanos() as u64);
    }
    way.sha256 = buffers.sha256(source)?;
    Ok(way)
}
