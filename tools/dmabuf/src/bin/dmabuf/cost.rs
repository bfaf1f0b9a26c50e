// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `dmabuf cost`: what exporters take for allocating, mapping and attaching.

use crate::measure::{clock_counts_instructions, timed};
use crate::{Result, print};
use clap::Args as ClapArgs;
use dmabuf::{DmaBuf, Flags, Heap, Memfd, units};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// Measure what the exporters below the system heap and udmabuf cost.
///
/// For buffers of several sizes: to allocate and free one; to map it into
/// memory and touch each page; to attach a disk, map the buffer for it, and undo
/// that, by one block of direct I/O; and to load a file that fills it. With two
/// results, as of a kernel with exporters in C and of one with those in Rust,
/// `--against` prints both side by side.
#[derive(ClapArgs)]
pub struct Args {
    /// A file of at least one block on a disk that takes part in direct I/O. Buffers
    /// that are not larger are also loaded.
    #[arg(required_unless_present = "against")]
    file: Option<PathBuf>,

    /// How often to measure; the least counts, as interrupts only add.
    #[arg(long, default_value_t = 5)]
    repeat: usize,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,

    /// Print two earlier results side by side, and fail if the second needs
    /// more than PERCENT percent of the first anywhere, or more than it should.
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"], conflicts_with = "file")]
    against: Option<Vec<PathBuf>>,

    /// See --against.
    #[arg(long, default_value_t = 100)]
    percent: u64,
}

const SIZES: [u64; 4] = [4 << 10, 1 << 20, 32 << 20, 1 << 30];
const BLOCK: u64 = 4096;
const HUGE: u64 = 2 << 20;

const MAP: &str = "attach, map, one block";
const LOAD: &str = "load a file, whole";
const COPY: &str = "... by copy_file_range()";

/// What calls that do the same may differ by, in percent.
const SAME: u64 = 105;

/// What exporters that supply their segments natively should reach.
struct Goal {
    exporter: &'static str,
    what: &'static str,
    at_least: u64,
    /// So many times cheaper than the first.
    times: u64,
    /// At most so many instructions for each MiB.
    per_mib: u64,
}

const GOALS: [Goal; 3] = [
    Goal {
        exporter: "udmabuf, huge",
        what: MAP,
        at_least: 32 << 20,
        times: 5,
        per_mib: u64::MAX,
    },
    Goal {
        exporter: "udmabuf, huge",
        what: LOAD,
        at_least: 32 << 20,
        times: 1,
        per_mib: 4000,
    },
    Goal {
        exporter: "heap",
        what: LOAD,
        at_least: 32 << 20,
        times: 1,
        per_mib: 1900,
    },
];

impl Goal {
    fn missed(&self, first: &Line, second: &Line) -> Option<String> {
        if (self.exporter, self.what) != (&*second.exporter, &*second.what)
            || second.size < self.at_least
        {
            return None;
        }
        if second.cost.saturating_mul(self.times) > first.cost {
            return Some(format!("not {} times cheaper: {second}", self.times));
        }
        (second.cost / (second.size >> 20) > self.per_mib)
            .then(|| format!("more than {} per MiB: {second}", self.per_mib))
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Line {
    exporter: String,
    what: String,
    size: u64,
    /// Nanoseconds of CPU time, which are instructions if the clock counts them.
    cost: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = units::bytes(self.size);
        write!(f, "{}, {}, {size}", self.exporter, self.what)
    }
}

#[derive(Serialize, Deserialize)]
struct Report {
    instructions: bool,
    lines: Vec<Line>,
}

impl Report {
    /// What is wrong with a load of the heap, if the other call does the same for much less or
    /// more. For other exporters it is seen in the table only: hardly anything is left of what a
    /// load costs, and when the disk is ready makes more difference.
    fn differs(&self, load: &Line) -> Option<String> {
        if load.exporter != "heap" {
            return None;
        }
        let same = |l: &&Line| (&*l.what, &l.exporter, l.size) == (COPY, &load.exporter, load.size);
        let copy = self.lines.iter().find(same).filter(|_| load.what == LOAD)?;
        let (least, most) = (load.cost.min(copy.cost), load.cost.max(copy.cost));
        (most * 100 > least * SAME).then(|| format!("{} by copy_file_range(): {load}", copy.cost))
    }
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(files) = &args.against {
        let text = side_by_side(&read(&files[0])?, &read(&files[1])?, args.percent)?;
        return print(&text);
    }
    let file = args.file.as_deref().expect("required by clap");
    let report = Report {
        instructions: clock_counts_instructions(),
        lines: measure(file, args.repeat.max(1))?,
    };
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&report)?))
    } else {
        print(&table(&report))
    }
}

fn measure(file: &Path, repeat: usize) -> Result<Vec<Line>> {
    let heap = Heap::open("system")?;
    let mut lines = Vec::new();

    for size in SIZES {
        let heap_buffer = || Ok(heap.allocate(size)?);
        exporter("heap", size, repeat, file, &mut lines, &heap_buffer)?;

        let memory = Memfd::new(size)?;
        // All pages are there, so that they are not allocated by udmabuf.
        touch(&mut memory.map()?);
        let udmabuf = || Ok(memory.udmabuf()?);
        exporter("udmabuf", size, repeat, file, &mut lines, &udmabuf)?;
        drop(memory);

        if size % HUGE == 0 {
            let memory = Memfd::huge(size)?;
            touch(&mut memory.map()?);
            let udmabuf = || Ok(memory.udmabuf()?);
            exporter("udmabuf, huge", size, repeat, file, &mut lines, &udmabuf)?;
        }
    }
    Ok(lines)
}

fn exporter(
    name: &str,
    size: u64,
    repeat: usize,
    file: &Path,
    lines: &mut Vec<Line>,
    make: &dyn Fn() -> Result<DmaBuf>,
) -> Result<()> {
    let length = file.metadata()?.len();
    let file = dmabuf::open_direct(file)?;
    // So many times that what measuring itself takes does not show.
    let times = ((4 << 20) / size).clamp(1, 64);
    let mut add = |what: &str, cost: u64| {
        lines.push(Line {
            exporter: name.into(),
            what: what.into(),
            size,
            cost,
        });
    };

    drop(make()?);
    add("allocate, free", least(repeat, times, || make().map(drop))?);

    let mut buf = make()?;
    add(
        "mmap, touch",
        least(repeat, times, || {
            touch(&mut buf.cpu_write()?);
            buf.unmap();
            Ok(())
        })?,
    );
    add(
        MAP,
        least(repeat, times, || {
            match buf.splice_from(&file, 0, 0, BLOCK, Flags::NOCOPY)? {
                BLOCK => Ok(()),
                n => Err(format!("only {n} bytes of a block of {BLOCK}").into()),
            }
        })?,
    );
    if size <= length {
        // Into the same buffer, as it makes a difference where its blocks are; and several
        // times, as it also does when the disk is ready.
        let times = times.max(8);
        let whole = |n| match n {
            n if n == size => Ok(()),
            n => Err(format!("only {n} bytes of {size}").into()),
        };
        let splice = least(repeat, times, || {
            whole(buf.splice_from(&file, 0, 0, size, Flags::NOCOPY)?)
        })?;
        add(LOAD, splice);
        let copy = least(repeat, times, || {
            whole(buf.copy_file_range_from(&file, 0, 0, size, Flags::NOCOPY)?)
        })?;
        add(COPY, copy);
    }
    Ok(())
}

fn touch(bytes: &mut [u8]) {
    for page in bytes.chunks_mut(BLOCK as usize) {
        page[0] = page[0].wrapping_add(1);
    }
}

fn least(repeat: usize, times: u64, mut work: impl FnMut() -> Result<()>) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..repeat {
        let (_, cpu) = timed(|| (0..times).try_for_each(|_| work()))?;
        least = least.min(cpu.as_nanos() as u64 / times);
    }
    Ok(least)
}

fn read(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?)
}

fn unit(report: &Report) -> &'static str {
    if report.instructions {
        "instructions"
    } else {
        "ns of CPU time"
    }
}

fn table(report: &Report) -> String {
    let mut text = format!("{:>62}\n", unit(report));
    for line in &report.lines {
        let _ = writeln!(
            text,
            "{:<14} {:<24} {:>8} {:>13}",
            line.exporter,
            line.what,
            units::bytes(line.size),
            units::grouped(line.cost),
        );
    }
    text
}

fn side_by_side(first: &Report, second: &Report, percent: u64) -> Result<String> {
    let mut text = format!(
        "{:<48} {:>13} {:>13} {:>8}\n",
        format!("{} for one", unit(first)),
        "first",
        "second",
        "percent"
    );
    let mut worse = Vec::new();
    for a in &first.lines {
        let same = |b: &&Line| (&b.exporter, &b.what, b.size) == (&a.exporter, &a.what, a.size);
        let b = second
            .lines
            .iter()
            .find(same)
            .ok_or_else(|| format!("the second result lacks {}, {}", a.exporter, a.what))?;
        let ratio = b.cost * 100 / a.cost.max(1);
        if ratio > percent {
            worse.push(format!("more than {percent} percent: {b}"));
        }
        if second.instructions {
            worse.extend(second.differs(b));
            worse.extend(GOALS.iter().filter_map(|goal| goal.missed(a, b)));
        }
        let _ = writeln!(
            text,
            "{:<14} {:<24} {:>8} {:>13} {:>13} {:>8}",
            a.exporter,
            a.what,
            units::bytes(a.size),
            units::grouped(a.cost),
            units::grouped(b.cost),
            ratio,
        );
    }
    if !worse.is_empty() {
        print(&text)?;
        return Err(worse.join("; ").into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(costs: [u64; 2]) -> Report {
        Report {
            instructions: true,
            lines: costs
                .iter()
                .enumerate()
                .map(|(i, &cost)| Line {
                    exporter: "heap".into(),
                    what: "allocate, free".into(),
                    size: SIZES[i],
                    cost,
                })
                .collect(),
        }
    }

    #[test]
    fn what_is_worse_anywhere_is_an_error() {
        let first = report([1000, 500]);
        assert!(side_by_side(&first, &report([1000, 500]), 100).is_ok());
        let error = side_by_side(&first, &report([10, 510]), 101).unwrap_err();
        assert!(side_by_side(&first, &report([10, 504]), 101).is_ok());
        assert_eq!(
            error.to_string(),
            "more than 101 percent: heap, allocate, free, 1 MiB"
        );
    }

    #[test]
    fn goals_are_missed_one_by_one() {
        let line = |what: &str, cost| Line {
            exporter: "udmabuf, huge".into(),
            what: what.into(),
            size: 32 << 20,
            cost,
        };
        let missed = |first: &Line, second: &Line| {
            GOALS
                .iter()
                .filter_map(|goal| goal.missed(first, second))
                .collect::<Vec<_>>()
        };

        assert_eq!(missed(&line(MAP, 500), &line(MAP, 100)).len(), 0);
        assert_eq!(
            missed(&line(MAP, 500), &line(MAP, 101)),
            ["not 5 times cheaper: udmabuf, huge, attach, map, one block, 32 MiB"]
        );
        let most = 32 * 4000;
        assert_eq!(missed(&line(LOAD, most), &line(LOAD, most)).len(), 0);
        assert_eq!(
            missed(&line(LOAD, most + 32), &line(LOAD, most + 32)),
            ["more than 4000 per MiB: udmabuf, huge, load a file, whole, 32 MiB"]
        );
    }

    #[test]
    fn calls_cost_the_same() {
        let line = |what: &str, cost| Line {
            exporter: "heap".into(),
            what: what.into(),
            size: 32 << 20,
            cost,
        };
        let differs = |costs: [u64; 2]| {
            let report = Report {
                instructions: true,
                lines: vec![line(LOAD, costs[0]), line(COPY, costs[1])],
            };
            assert!(report.differs(&report.lines[1]).is_none());
            report.differs(&report.lines[0])
        };

        assert_eq!(differs([100, 105]), None);
        assert_eq!(differs([105, 100]), None);
        assert!(differs([106, 100]).is_some());
        assert_eq!(
            differs([100, 106]).unwrap(),
            "106 by copy_file_range(): heap, load a file, whole, 32 MiB"
        );
    }

    #[test]
    fn results_must_be_of_the_same_things() {
        let mut second = report([1, 2]);
        second.lines.pop();
        assert!(side_by_side(&report([1, 2]), &second, 100).is_err());
    }

    #[test]
    fn each_measurement_is_repeated() {
        let mut n = 0;
        least(3, 4, || {
            n += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(n, 12);
    }
}
