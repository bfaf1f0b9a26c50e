// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::measure::{self, Sha};
use crate::{Result, about, print};
use dmabuf::units::{bytes, parse_bytes};
use dmabuf::{BLOCK, DmaBuf, Heap, Memfd};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Load a file into dma-bufs and say how it went.
///
/// The file must be on a file system and a disk that can (ext4 or XFS on NVMe;
/// a raw disk works too) and have no holes. All buffers are held until the
/// whole file is loaded, so there must be memory for it.
#[derive(clap::Args)]
pub struct Args {
    /// The file, or disk, to load
    file: PathBuf,

    /// Take the buffers from this heap, one of /dev/dma_heap
    #[arg(long, value_name = "NAME", default_value = "system")]
    heap: String,

    /// Take them from a memfd by /dev/udmabuf instead
    #[arg(long, conflicts_with = "heap")]
    udmabuf: bool,

    /// Size of one buffer, a multiple of 4KiB
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = chunk)]
    chunk: u64,

    /// Compare SHA-256 of the buffers, seen by mmap, with the file read plainly
    #[arg(long)]
    verify: bool,

    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn chunk(text: &str) -> std::result::Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("a buffer needs at least 4KiB".into()),
        n if n % BLOCK != 0 => Err(format!("{n} is not a multiple of {BLOCK}")),
        n => Ok(n),
    }
}

#[derive(Serialize)]
struct Outcome {
    file: PathBuf,
    bytes: u64,
    buffers: usize,
    buffer_bytes: u64,
    exporter: String,
    seconds: f64,
    mb_per_second: f64,
    dma_bytes: Option<u64>,
    sha256: Option<String>,
    sha256_equal: Option<bool>,
}

pub fn run(args: &Args) -> Result<()> {
    let file = dmabuf::open_direct(&args.file)?;
    let size = dmabuf::file_size(&file)?;
    enough_memory(size)?;
    let heap = match args.udmabuf {
        true => None,
        false => Some(Heap::open(&args.heap)?),
    };

    let progress = Progress::new(size);
    let mut bufs: Vec<DmaBuf> = Vec::new();
    let mut loaded = 0;
    let mut busy = Duration::ZERO;
    while loaded < size {
        let len = args.chunk.min(size - loaded);
        let mut buf = match &heap {
            Some(heap) => heap.allocate(len)?,
            None => Memfd::new(len)?.udmabuf()?,
        };
        let start = Instant::now();
        let n = buf.load(&file, loaded, 0, len)?;
        busy += start.elapsed();
        bufs.push(buf);
        loaded += n;
        progress.at(loaded);
        if n < len {
            return Err(format!(
                "{}: it became shorter while it was loaded: {} of {}",
                args.file.display(),
                bytes(loaded),
                bytes(size)
            )
            .into());
        }
    }
    progress.done();

    let mut outcome = Outcome {
        file: args.file.clone(),
        bytes: loaded,
        buffers: bufs.len(),
        buffer_bytes: bufs.first().map_or(args.chunk, DmaBuf::size),
        exporter: match bufs.first() {
            Some(buf) => buf.stats()?.exporter,
            None => heap.as_ref().map_or("udmabuf", Heap::name).into(),
        },
        seconds: busy.as_secs_f64(),
        mb_per_second: loaded as f64 / 1e6 / busy.as_secs_f64().max(1e-9),
        dma_bytes: Some(0),
        sha256: None,
        sha256_equal: None,
    };
    for buf in &bufs {
        let dma = buf.stats()?.dio_read_bytes;
        outcome.dma_bytes = outcome.dma_bytes.zip(dma).map(|(a, b)| a + b);
    }

    if args.verify {
        let plain = std::fs::File::open(&args.file).map_err(about(&args.file))?;
        let expected = measure::sha_of_file(&plain, loaded)?;
        let mut sha = Sha::new(loaded);
        for buf in &bufs {
            sha.update(&buf.cpu_read()?);
        }
        let got = sha.finish();
        outcome.sha256_equal = Some(got == expected);
        outcome.sha256 = Some(got);
    }

    if args.json {
        print(&format!("{}\n", serde_json::to_string(&outcome)?))?;
    } else {
        print(&text(&outcome))?;
    }
    match outcome.sha256_equal {
        Some(false) => Err(format!(
            "{}: FAILED: the buffers do not hold what the file does",
            args.file.display()
        )
        .into()),
        _ => Ok(()),
    }
}

fn text(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {} in {} {} dma-buf{} of {}, {:.2} s, {:.0} MB/s\n",
        outcome.file.display(),
        bytes(outcome.bytes),
        outcome.buffers,
        outcome.exporter,
        if outcome.buffers == 1 { "" } else { "s" },
        bytes(outcome.buffer_bytes),
        outcome.seconds,
        outcome.mb_per_second,
    );
    if let Some(dma) = outcome.dma_bytes {
        // The last block of a file may be counted as a whole.
        let copied = outcome.bytes.saturating_sub(dma);
        text += &format!(
            "by DMA {}, copied by the CPU {}\n",
            bytes(dma),
            bytes(copied)
        );
    }
    if let (Some(sha), Some(equal)) = (&outcome.sha256, outcome.sha256_equal) {
        let equal = if equal { "equal" } else { "NOT EQUAL" };
        text += &format!("SHA-256 of file and buffers {equal}: {sha}\n");
    }
    text
}

/// A machine that runs out of memory kills whatever it likes: better to refuse.
fn enough_memory(size: u64) -> Result<()> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&meminfo) {
        Some(free) if free < size => Err(format!(
            "not enough memory: the file has {}, {} are available; \
             free some, or load a smaller file",
            bytes(size),
            bytes(free)
        )
        .into()),
        _ => Ok(()),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A bar on a terminal, once a load turns out to take a while.
struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    fn new(size: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::hidden());
        let style =
            "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a constant"));
        let start = Instant::now();
        Progress { bar, start }
    }

    fn at(&self, loaded: u64) {
        if self.bar.is_hidden() && self.start.elapsed() > Duration::from_millis(500) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(loaded);
    }

    fn done(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_blocks() {
        assert_eq!(chunk("32MiB"), Ok(32 << 20));
        assert!(chunk("0").is_err());
        assert!(chunk("1000").unwrap_err().contains("4096"));
    }

    #[test]
    fn memory_available() {
        let meminfo = "MemTotal:       24587060 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(available(meminfo), Some(1 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn the_text_says_what_was_copied() {
        let outcome = Outcome {
            file: "a.bin".into(),
            bytes: 64 << 20,
            buffers: 2,
            buffer_bytes: 32 << 20,
            exporter: "system".into(),
            seconds: 0.5,
            mb_per_second: 134.2,
            dma_bytes: Some(60 << 20),
            sha256: Some("12ab".into()),
            sha256_equal: Some(false),
        };
        assert_eq!(
            text(&outcome),
            "a.bin: 64 MiB in 2 system dma-bufs of 32 MiB, 0.50 s, 134 MB/s\n\
             by DMA 60 MiB, copied by the CPU 4 MiB\n\
             SHA-256 of file and buffers NOT EQUAL: 12ab\n"
        );
    }
}
