// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What `load` and `save` have in common: where buffers come from, by which
//! call data goes, how to show progress, and what to say about copies.

use crate::Result;
use dmabuf::units::{bytes, parse_bytes};
use dmabuf::{BLOCK, By, Call, Counters, DmaBuf, Flags, Heap, Memfd};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Source {
    /// Take the buffers from this heap, one of /dev/dma_heap
    #[arg(long, value_name = "NAME", default_value = "system")]
    heap: String,

    /// Take them from a memfd by /dev/udmabuf instead
    #[arg(long, conflicts_with = "heap")]
    udmabuf: bool,

    /// Size of one buffer, a multiple of 4KiB
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = chunk)]
    pub chunk: u64,
}

#[derive(clap::Args)]
pub struct Transfer {
    /// Move the data by this system call: splice, copy-file-range or sendfile
    #[arg(long, value_name = "CALL", default_value = Call::Splice.name())]
    call: Call,

    /// Fail rather than copy a byte by the CPU (SPLICE_F_NOCOPY)
    #[arg(long)]
    no_copy: bool,
}

pub fn chunk(text: &str) -> std::result::Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("a buffer needs at least 4KiB".into()),
        n if n % BLOCK != 0 => Err(format!("{n} is not a multiple of {BLOCK}")),
        n => Ok(n),
    }
}

/// Where buffers come from, opened.
pub enum Allocator {
    Heap(Heap),
    Udmabuf,
}

impl Source {
    pub fn open(&self) -> Result<Allocator> {
        Ok(match self.udmabuf {
            true => Allocator::Udmabuf,
            false => Allocator::Heap(Heap::open(&self.heap)?),
        })
    }
}

impl Allocator {
    pub fn allocate(&self, len: u64) -> Result<DmaBuf> {
        Ok(match self {
            Allocator::Heap(heap) => heap.allocate(len)?,
            Allocator::Udmabuf => Memfd::new(len)?.udmabuf()?,
        })
    }

    pub fn name(&self) -> &str {
        match self {
            Allocator::Heap(heap) => heap.name(),
            Allocator::Udmabuf => "udmabuf",
        }
    }
}

impl Transfer {
    pub fn by(&self) -> Result<By> {
        if self.no_copy && self.call == Call::Sendfile {
            return Err("--no-copy: sendfile(2) has no flags to forbid copies: \
                        use --call splice or --call copy-file-range"
                .into());
        }
        Ok(By {
            call: self.call,
            flags: match self.no_copy {
                true => Flags::NOCOPY,
                false => Flags::NONE,
            },
        })
    }
}

/// What went how, over many buffers.
#[derive(Serialize, Default)]
pub struct Moved {
    /// `None` when the kernel does not count.
    pub dma_bytes: Option<u64>,
    pub copied_bytes: Option<u64>,
    /// Bytes by reason, most first. A buffer knows only its last reason, so
    /// all of what one buffer copied is put down to that.
    pub reasons: Vec<Reason>,
}

#[derive(Serialize, PartialEq, Debug)]
pub struct Reason {
    pub reason: String,
    pub bytes: u64,
    #[serde(skip)]
    pub text: String,
}

impl Moved {
    pub fn nothing() -> Self {
        Moved {
            dma_bytes: Some(0),
            copied_bytes: Some(0),
            reasons: Vec::new(),
        }
    }

    /// Adds what one buffer counted, in one direction.
    pub fn add(&mut self, io: Option<&Counters>, load: bool) {
        let Some(io) = io else {
            (self.dma_bytes, self.copied_bytes) = (None, None);
            return;
        };
        let (dma, copied) = match load {
            true => (io.dio_read_bytes, io.copy_read_bytes),
            false => (io.dio_write_bytes, io.copy_write_bytes),
        };
        self.dma_bytes = self.dma_bytes.map(|n| n + dma);
        self.copied_bytes = self.copied_bytes.map(|n| n + copied);
        let Some(reason) = io.copy_reason.as_ref().filter(|_| copied > 0) else {
            return;
        };
        match self.reasons.iter_mut().find(|r| r.reason == reason.word()) {
            Some(known) => known.bytes += copied,
            None => self.reasons.push(Reason {
                reason: reason.word().into(),
                bytes: copied,
                text: reason.to_string(),
            }),
        }
        self.reasons.sort_by_key(|r| std::cmp::Reverse(r.bytes));
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let (Some(dma), Some(copied)) = (self.dma_bytes, self.copied_bytes) else {
            return String::new();
        };
        let mut text = format!(
            "by DMA {}, copied by the CPU {}\n",
            bytes(dma),
            bytes(copied)
        );
        for reason in &self.reasons {
            text += &format!("copied {}: {}\n", bytes(reason.bytes), reason.text);
        }
        text
    }
}

/// A machine that runs out of memory kills whatever it likes: better to refuse.
pub fn enough_memory(size: u64) -> Result<()> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&meminfo) {
        Some(free) if free < size => Err(format!(
            "not enough memory: {} are needed, {} are available: \
             free some, or move less",
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

/// A bar on a terminal, once it turns out to take a while; without a total, a
/// count.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    pub fn new(size: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden());
        let style = match size {
            Some(_) => {
                "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left"
            }
            None => "{spinner} {binary_bytes} {binary_bytes_per_sec}",
        };
        bar.set_style(ProgressStyle::with_template(style).expect("a constant"));
        let start = Instant::now();
        Progress { bar, start }
    }

    pub fn at(&self, moved: u64) {
        if self.bar.is_hidden() && self.start.elapsed() > Duration::from_millis(500) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(moved);
    }

    pub fn done(self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes in a time, in the unit disks are sold by.
pub fn mb_per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmabuf::CopyReason;

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
    fn copies_are_put_down_to_their_reasons() {
        let mut moved = Moved::nothing();
        let io = |copied, reason| Counters {
            dio_read_bytes: 1 << 20,
            copy_read_bytes: copied,
            copy_write_bytes: 77,
            copy_reason: Some(reason),
            ..Counters::default()
        };
        moved.add(Some(&io(10, CopyReason::Alignment)), true);
        moved.add(Some(&io(2048, CopyReason::Hole)), true);
        moved.add(Some(&io(2048, CopyReason::Hole)), true);
        moved.add(Some(&io(0, CopyReason::Disk)), true);
        assert_eq!(
            moved.text(),
            "by DMA 4 MiB, copied by the CPU 4.0 KiB\n\
             copied 4 KiB: holes or space that was never written\n\
             copied 10 bytes: not in whole blocks of the disk\n"
        );
        moved.add(None, true);
        assert_eq!(moved.text(), "");
    }

    #[test]
    fn sendfile_cannot_forbid_copies() {
        let args = |call, no_copy| Transfer { call, no_copy };
        assert!(args(Call::Sendfile, true).by().is_err());
        assert!(args(Call::Sendfile, false).by().is_ok());
        let by = args(Call::CopyFileRange, true).by().unwrap();
        assert!(by.flags.contains(Flags::NOCOPY));
    }
}
