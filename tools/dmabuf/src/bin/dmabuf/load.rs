// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::measure::{self, Sha};
use crate::options::{self, Moved, Progress};
use crate::{Result, about, print};
use dmabuf::units::{bytes, parse_bytes};
use dmabuf::{Call, DmaBuf};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Load a file into dma-bufs and say how it went.
///
/// Any file: what is on ext4, XFS, F2FS or a raw disk, and that on NVMe, goes
/// directly from the disk into the buffers, in whole blocks. What cannot is
/// copied by the CPU: other file systems and disks, holes, pipes, devices, files
/// of the kernel. The result says how much went which way, and why.
///
/// All buffers are held until everything is loaded, so there must be memory
/// for it. Loading is what is timed, not allocating.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, disk, pipe or device to load
    file: PathBuf,

    #[command(flatten)]
    source: options::Source,

    #[command(flatten)]
    transfer: options::Transfer,

    /// Load at most so much
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    size: Option<u64>,

    /// Compare SHA-256 of the buffers, seen by mmap, with the file read plainly
    #[arg(long)]
    verify: bool,

    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dmabuf load model.safetensors                   as fast as file and disk allow
  dmabuf load --no-copy model.safetensors         or fail, and say what is in the way
  dmabuf load --size 1GiB --verify /dev/nvme0n1   the start of a disk
  zstd -dc model.zst | dmabuf load /dev/stdin     from a pipe: copied";

#[derive(Serialize)]
struct Outcome {
    file: PathBuf,
    call: &'static str,
    bytes: u64,
    buffers: usize,
    buffer_bytes: u64,
    exporter: String,
    seconds: f64,
    mb_per_second: f64,
    #[serde(flatten)]
    moved: Moved,
    sha256: Option<String>,
    sha256_equal: Option<bool>,
}

pub fn run(args: &Args) -> Result<()> {
    let by = args.transfer.by()?;
    let file = dmabuf::open(&args.file)?;
    let stream = dmabuf::is_stream(&file);
    if stream && args.verify {
        return Err(format!(
            "{}: --verify reads the file a second time, which this one does not allow: \
             save it first, or leave --verify out",
            args.file.display()
        )
        .into());
    }
    // Streams and files of the kernel do not say how long they are.
    let told = match stream {
        true => None,
        false => Some(dmabuf::file_size(&file)?).filter(|size| *size > 0),
    };
    let limit = args.size.unwrap_or(u64::MAX);
    let size = told.map(|size| size.min(limit));
    options::enough_memory(size.unwrap_or(0))?;
    let allocator = args.source.open()?;

    let progress = Progress::new(size);
    let mut bufs: Vec<DmaBuf> = Vec::new();
    let mut loaded = 0;
    let mut busy = Duration::ZERO;
    while loaded < size.unwrap_or(limit) {
        let len = args.source.chunk.min(size.unwrap_or(limit) - loaded);
        if size.is_none() {
            options::enough_memory(len)?;
        }
        let mut buf = allocator.allocate(len)?;
        let start = Instant::now();
        let off = (!stream).then_some(loaded);
        let n = buf.load_by(by, &file, off, 0, len)?;
        busy += start.elapsed();
        loaded += n;
        progress.at(loaded);
        if n > 0 {
            bufs.push(buf);
        }
        match size {
            Some(size) if n < len => {
                return Err(format!(
                    "{}: it became shorter while it was loaded, {} of {} are there: \
                     load it when nobody writes to it",
                    args.file.display(),
                    bytes(loaded),
                    bytes(size)
                )
                .into());
            }
            _ if n < len => break,
            _ => {}
        }
    }
    progress.done();

    let mut outcome = Outcome {
        file: args.file.clone(),
        call: by.call.name(),
        bytes: loaded,
        buffers: bufs.len(),
        buffer_bytes: bufs.first().map_or(args.source.chunk, DmaBuf::size),
        exporter: match bufs.first() {
            Some(buf) => buf.stats()?.exporter,
            None => allocator.name().into(),
        },
        seconds: busy.as_secs_f64(),
        mb_per_second: options::mb_per_second(loaded, busy),
        moved: Moved::nothing(),
        sha256: None,
        sha256_equal: None,
    };
    for buf in &bufs {
        outcome.moved.add(buf.stats()?.io.as_ref(), true);
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
            "{}: FAILED: the buffers do not hold what the file does: \
             load it when nobody writes to it, nor to a \
             file system on it; if nobody did, dmesg may say more",
            args.file.display()
        )
        .into()),
        _ => Ok(()),
    }
}

fn text(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {} in {} {} dma-buf{} of {}",
        outcome.file.display(),
        bytes(outcome.bytes),
        outcome.buffers,
        outcome.exporter,
        if outcome.buffers == 1 { "" } else { "s" },
        bytes(outcome.buffer_bytes),
    );
    if outcome.call != Call::Splice.name() {
        text += &format!(" by {}", outcome.call);
    }
    text += &format!(
        ", {:.2} s, {:.0} MB/s\n{}",
        outcome.seconds,
        outcome.mb_per_second,
        outcome.moved.text()
    );
    if let (Some(sha), Some(equal)) = (&outcome.sha256, outcome.sha256_equal) {
        let equal = if equal { "equal" } else { "NOT EQUAL" };
        text += &format!("SHA-256 of file and buffers {equal}: {sha}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_was_copied() {
        let mut outcome = Outcome {
            file: "a.bin".into(),
            call: "splice",
            bytes: 64 << 20,
            buffers: 2,
            buffer_bytes: 32 << 20,
            exporter: "system".into(),
            seconds: 0.5,
            mb_per_second: 134.2,
            moved: Moved {
                dma_bytes: Some(60 << 20),
                copied_bytes: Some(4 << 20),
                reasons: vec![options::Reason {
                    reason: "hole".into(),
                    bytes: 4 << 20,
                    text: "holes".into(),
                }],
            },
            sha256: Some("12ab".into()),
            sha256_equal: Some(false),
        };
        assert_eq!(
            text(&outcome),
            "a.bin: 64 MiB in 2 system dma-bufs of 32 MiB, 0.50 s, 134 MB/s\n\
             by DMA 60 MiB, copied by the CPU 4 MiB\n\
             copied 4 MiB: holes\n\
             SHA-256 of file and buffers NOT EQUAL: 12ab\n"
        );
        let json = serde_json::to_string(&outcome).unwrap();
        assert!(json.contains(r#""dma_bytes":62914560"#), "{json}");

        outcome.call = "sendfile";
        assert!(text(&outcome).contains("of 32 MiB by sendfile, 0.50 s"));
    }
}
