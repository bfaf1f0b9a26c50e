// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `dmabuf cost`: what transfers take, and what exporters take, one number each.

use crate::measure::{
    Idler, Reads, clock_counts_instructions, compact_memory, drop_cache, median, timed,
};
use crate::{Result, about, print, ways};
use dmabuf::{Call, DmaBuf, Flags, Heap, Memfd};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Measure what transfers and exporters cost.
///
/// Prints lines NAME VALUE. A value is CPU time in nanoseconds, which are
/// instructions where one takes one nanosecond: of a load for each MiB, of all
/// else for each time. The exporters are the system heap (heap), udmabuf of
/// huge pages (huge), and udmabuf of small pages that lie apart (scattered).
///
/// NAME.load is for a buffer that is new, NAME.load-again for the second time;
/// NAME.load-machine is that with all that the machine did, interrupts and other
/// threads included. NAME.by-CALL are the calls side by side, in pieces into the
/// same buffer. NAME.make-SIZE is to allocate and free a buffer, NAME.mmap-SIZE to
/// map it, touch its pages and unmap it. NAME.disk, NAME.direct and NAME.copied are the bytes of one
/// load: as the disk counted them, and as the buffer did. NAME.commands,
/// NAME.smallest, NAME.largest and NAME.together are the number and the bytes of
/// the commands that the disk was given, as the block layer's trace event shows
/// them. NAME.block-SIZE is one block of
/// direct I/O into the first page of a buffer of SIZE, NAME.block-SIZE-end into
/// the last one.
#[derive(clap::Args)]
pub struct Args {
    /// A file without holes, of 32 MiB, on a disk that takes part in direct I/O
    file: PathBuf,
}

const SIZE: u64 = 32 << 20;
const BLOCK: u64 = 4096;
const ONE_CPU: &str = "this wants a machine with one CPU";
const POISON: u8 = 0xa5;

/// The least of so many rounds counts, as what disturbs only adds.
const ROUNDS: usize = 3;
/// Transfers, as when the disk is ready makes a difference to each.
const LOADS: usize = 8;
/// Buffers of which the best counts.
const BUFFERS: usize = 16;

pub fn run(args: &Args) -> Result<()> {
    let direct = dmabuf::open_direct(&args.file)?;
    let plain = File::open(&args.file).map_err(about(&args.file))?;
    if dmabuf::file_size(&direct)? != SIZE {
        return Err(format!("{}: its size is not {SIZE}", args.file.display()).into());
    }
    ready()?;
    let mut data = vec![0; SIZE as usize];
    ways::read(&plain, 0, &mut data)?;
    let bench = Bench {
        direct,
        plain,
        data,
    };
    bench.memory()?;
    for name in ["heap", "huge", "scattered"] {
        let exporter = Exporter::new(name, SIZE)?;
        bench.count(&exporter)?;
        bench.loads(&exporter)?;
        if name == "heap" {
            bench.calls(&exporter)?;
        }
        bench.exporter(&exporter)?;
        bench.blocks(&exporter, "32m", 4)?;
        drop(exporter);
        if name != "huge" {
            bench.blocks(&Exporter::new(name, 4 << 20)?, "4m", 16)?;
            bench.blocks(&Exporter::new(name, 1 << 30)?, "1g", 1)?;
            let small = Exporter::new(name, BLOCK)?;
            put(name, "make-4k", least(64, || small.make().map(drop))?)?;
        }
    }
    Ok(())
}

/// What would end it after minutes is told at once.
fn ready() -> Result<()> {
    // Tracing and buffers are root's, too.
    let knob = "/proc/sys/vm/drop_caches";
    if let Err(error) = File::options().write(true).open(knob) {
        return Err(format!("{knob}: {error}; run it as root").into());
    }
    Idler::start().ok_or(ONE_CPU)?;
    if !clock_counts_instructions() {
        return Err(
            "the clock counts nanoseconds, not instructions: use './lab cost', \
                    or QEMU with '-icount shift=0,sleep=off'"
                .into(),
        );
    }
    Ok(())
}

fn put(exporter: &str, what: &str, value: u64) -> Result<()> {
    print(&format!("{exporter}.{what} {value}\n"))
}

/// Makes buffers of one size.
struct Exporter {
    name: &'static str,
    size: u64,
    source: Source,
}

enum Source {
    Heap(Heap),
    Udmabuf(Memfd),
}

impl Exporter {
    fn new(name: &'static str, size: u64) -> Result<Exporter> {
        // Not what happened to be free decides how many pieces a buffer has.
        compact_memory();
        // All pages are there, so that they are not allocated by udmabuf.
        let source = match name {
            "heap" => Source::Heap(Heap::open("system")?),
            "huge" => {
                let memory = Memfd::huge(size)?;
                // Every fifth of 2 MiB, and odd: none is the neighbour of the next.
                touch(&mut memory.map()?, 5 * 512 + 1);
                Source::Udmabuf(memory)
            }
            _ => {
                let memory = Memfd::new(size)?;
                // Pages allocated one after the other are neighbours in memory, so
                // neighbours in the file are not to be. Odd, so that all have a turn.
                touch(&mut memory.map()?, 1021);
                Source::Udmabuf(memory)
            }
        };
        Ok(Exporter { name, size, source })
    }

    fn make(&self) -> Result<DmaBuf> {
        Ok(match &self.source {
            Source::Heap(heap) => heap.allocate(self.size)?,
            Source::Udmabuf(memory) => memory.udmabuf()?,
        })
    }
}

/// Each page once, `step` pages on each time.
fn touch(bytes: &mut [u8], step: usize) {
    let pages = bytes.len() / BLOCK as usize;
    for i in 0..pages {
        let at = i * step % pages * BLOCK as usize;
        bytes[at] = bytes[at].wrapping_add(1);
    }
}

struct Bench {
    direct: OwnedFd,
    plain: File,
    data: Vec<u8>,
}

impl Bench {
    /// What there is without dma-buf direct I/O: read(2) into ordinary memory with
    /// O_DIRECT, and without it into a dma-buf's mapping.
    fn memory(&self) -> Result<()> {
        compact_memory();
        let mut memory = Memfd::new(SIZE)?.map()?;
        touch(&mut memory, 1);
        let cost = least(1, || ways::read(&self.direct, 0, &mut memory))?;
        put("memory", "pread", cost / (SIZE >> 20))?;
        ways::equal(&memory, &self.data, 0)?;

        let block = &mut memory[..BLOCK as usize];
        let mut at = offsets();
        let cost = least(64, || ways::read(&self.direct, at.next().unwrap(), block))?;
        put("memory", "block", cost)?;

        let mut buf = Heap::open("system")?.allocate(SIZE)?;
        let mut memory = buf.cpu_write()?;
        touch(&mut memory, 1);
        let mut costs = u64::MAX;
        for _ in 0..2 {
            drop_cache(&self.plain)?;
            costs = costs.min(once(1, || ways::read(&self.plain, 0, &mut memory))?);
        }
        put("memory", "read", costs / (SIZE >> 20))?;
        ways::equal(&memory, &self.data, 0)?;
        drop(memory);
        drop_cache(&self.plain)
    }

    /// A part of the file to the same place in a buffer.
    fn load(&self, buf: &mut DmaBuf, call: Call, at: u64, size: u64) -> Result<()> {
        let (file, no) = (&self.direct, Flags::NOCOPY);
        let n = match call {
            Call::Splice => buf.splice_from(file, at, at, size, no)?,
            Call::CopyFileRange => buf.copy_file_range_from(file, at, at, size, no)?,
            Call::Sendfile => buf.sendfile_from(file, at, size)?,
        };
        match n == size {
            true => Ok(()),
            false => Err(format!("{call} moved {n} bytes of {size}").into()),
        }
    }

    /// One load, with every byte compared, and what was counted by whom.
    ///
    /// The disk and the block layer know nothing of dma-bufs: what they count went
    /// over the bus, from this disk, in these commands. Where it went they cannot
    /// tell. If a driver let the disk fill memory of its own, as swiotlb does, and
    /// copied that into the buffer, the numbers would be the same. What tells is
    /// the work of a CPU, whoever does it: to copy 1 MiB takes tens of thousands of
    /// instructions, and `load-machine`, which has those of system calls, interrupts
    /// and threads together, is a few thousand.
    fn count(&self, exporter: &Exporter) -> Result<()> {
        let mut buf = exporter.make()?;
        buf.cpu_write()?.fill(POISON);
        buf.unmap();
        let reads = Reads::watch(&self.direct)?;
        self.load(&mut buf, Call::Splice, 0, SIZE)?;
        let (disk, mut commands) = reads.end()?;
        commands.sort_unstable();
        ways::equal(&buf.cpu_read()?, &self.data, 0)?;

        let io = buf.stats()?.io.ok_or("the kernel does not count")?;
        let name = exporter.name;
        put(name, "direct", io.dio_read_bytes)?;
        put(name, "copied", io.copy_read_bytes)?;
        put(name, "disk", disk)?;
        put(name, "commands", commands.len() as u64)?;
        put(name, "smallest", *commands.first().unwrap_or(&0))?;
        put(name, "largest", *commands.last().unwrap_or(&0))?;
        put(name, "together", commands.iter().sum())
    }

    /// Into new buffers; into the same once more; and with all that the machine does.
    ///
    /// The pieces of a heap's buffer may happen to make up aligned 2 MiB, which an
    /// IOMMU maps at once; or not, which takes many times as much. So there are
    /// several buffers at a time, as what was freed last tends to be out of order,
    /// and the best of them counts. And there is a piece of 1 MiB between them: where
    /// one buffer begins in the middle of 2 MiB, those behind it would, too.
    fn loads(&self, exporter: &Exporter) -> Result<()> {
        let (mut first, mut again, mut machine) = (u64::MAX, u64::MAX, u64::MAX);
        let heap = Heap::open("system")?;
        let mut between = Vec::new();
        let mut buffers = Vec::new();
        let mut best = 0;
        for i in 0..BUFFERS {
            between.push(heap.allocate(1 << 20)?);
            buffers.push(exporter.make()?);
            let buf = &mut buffers[i];
            let mut load = || once(SIZE >> 20, || self.load(buf, Call::Splice, 0, SIZE));
            let cost = load()?;
            if cost < first {
                (first, best) = (cost, i);
            }
            again = again.min(load()?);
        }
        put(exporter.name, "load", first)?;
        put(exporter.name, "load-again", again)?;

        // Not before: it is a thread of this process, and its time counts.
        let idler = Idler::start().ok_or(ONE_CPU)?;
        let buf = &mut buffers[best];
        for _ in 0..ROUNDS {
            let busy = idler
                .busy(|| (0..LOADS).try_for_each(|_| self.load(buf, Call::Splice, 0, SIZE)))?;
            machine = machine.min(busy.as_nanos() as u64 / (LOADS as u64 * (SIZE >> 20)));
        }
        put(exporter.name, "load-machine", machine)
    }

    /// The calls, in turn, in pieces into one buffer. The best of each would not do: a
    /// single time may be a third better, and whose that is tells nothing.
    fn calls(&self, exporter: &Exporter) -> Result<()> {
        let size = SIZE / LOADS as u64;
        let mut costs = Call::ALL.map(|call| (call, Vec::new()));
        for _ in 0..ROUNDS {
            // New, as nothing but sendfile(2) moves the position it goes by.
            let mut buf = exporter.make()?;
            self.load(&mut buf, Call::Splice, 0, SIZE)?;
            for at in (0..SIZE).step_by(size as usize) {
                for (call, costs) in &mut costs {
                    let piece = || self.load(&mut buf, *call, at, size);
                    costs.push(once(size >> 20, piece)?);
                }
            }
        }
        costs.into_iter().try_for_each(|(call, costs)| {
            let name = format!("by-{}", call.name());
            put(exporter.name, &name, median(costs))
        })
    }

    fn exporter(&self, exporter: &Exporter) -> Result<()> {
        let make = least(1, || exporter.make().map(drop))?;
        put(exporter.name, "make-32m", make)?;
        let mut buf = exporter.make()?;
        let map = least(1, || {
            touch(&mut buf.cpu_write()?, 1);
            buf.unmap();
            Ok(())
        })?;
        put(exporter.name, "mmap-32m", map)
    }

    /// Blocks from all over the file to the first and to the last page of a buffer.
    fn blocks(&self, exporter: &Exporter, size: &str, calls: u64) -> Result<()> {
        let mut buf = exporter.make()?;
        let mut from = offsets();
        for (to, end) in [(0, ""), (exporter.size - BLOCK, "-end")] {
            let mut last = 0;
            let cost = least(calls, || {
                last = from.next().unwrap();
                match buf.splice_from(&self.direct, last, to, BLOCK, Flags::NOCOPY)? {
                    BLOCK => Ok(()),
                    n => Err(format!("only {n} bytes of a block of {BLOCK}").into()),
                }
            })?;
            put(exporter.name, &format!("block-{size}{end}"), cost)?;
            let (to, last) = (to as usize, last as usize);
            let block = BLOCK as usize;
            ways::equal(
                &buf.cpu_read()?[to..][..block],
                &self.data[last..][..block],
                last as u64,
            )?;
            buf.unmap();
        }
        Ok(())
    }
}

/// Of blocks of the file, neighbours far apart, without an end.
fn offsets() -> impl Iterator<Item = u64> {
    (1..).map(|i: u64| i * 5003 % (SIZE / BLOCK) * BLOCK)
}

/// The cost of work, divided by what there was of it.
fn once(units: u64, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let (_, cpu) = timed(work)?;
    Ok(cpu.as_nanos() as u64 / units)
}

/// The cost of what is done so many times in each round.
fn least(times: u64, mut work: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        least = least.min(once(times, || (0..times).try_for_each(|_| work()))?);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measurement_is_repeated() {
        let mut n = 0;
        least(4, || {
            n += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(n, 4 * ROUNDS);
    }

    #[test]
    fn every_page_is_touched_once() {
        for step in [1, 1021, 5 * 512 + 1] {
            let mut bytes = vec![0; 1 << 20];
            touch(&mut bytes, step);
            assert!(bytes.chunks(BLOCK as usize).all(|page| page[0] == 1));
        }
    }

    #[test]
    fn blocks_are_in_the_file_and_differ() {
        let mut seen: Vec<u64> = offsets().take(1000).collect();
        assert!(seen.iter().all(|at| at % BLOCK == 0 && at + BLOCK <= SIZE));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}
