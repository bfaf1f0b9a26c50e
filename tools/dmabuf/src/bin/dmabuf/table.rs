// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::{Result, about, print};
use dmabuf::units::{bytes, grouped};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Print the results of two boots as one table, and judge them.
///
/// The first file is from `dmabuf compare --json` in an ordinary boot, for
/// the speed; the second from one under QEMU's -icount, for the instructions.
///
/// It is a failure if a way did not work, if a buffer differs from the file,
/// if splice(2) left anything to the CPU or to the page cache, or if it does
/// not save as many instructions as demanded.
#[derive(clap::Args)]
pub struct Args {
    /// Result of an ordinary boot
    plain: PathBuf,

    /// Result of a boot that counts instructions
    counted: PathBuf,

    /// Fail unless splice(2) needs so many times fewer instructions than read()
    #[arg(long, value_name = "TIMES", default_value = "1")]
    at_least: f64,
}

/// What `compare` found out. The first way is splice(2), the others are what
/// it is compared with.
#[derive(Serialize, Deserialize, Default)]
pub struct Report {
    pub kernel: String,
    pub file: PathBuf,
    pub bytes: u64,
    pub buffer_bytes: u64,
    /// One nanosecond of CPU time is one instruction.
    pub counts_instructions: bool,
    pub sha256: String,
    pub ways: Vec<Way>,
}

#[derive(Serialize, Deserialize, Default)]
pub struct Way {
    pub name: String,
    /// If there is one, the rest says nothing.
    pub error: Option<String>,
    pub dma_bytes: Option<u64>,
    pub copied_bytes: Option<u64>,
    pub cache_grown_bytes: u64,
    /// CPU time of the process, on both sides of the system call.
    pub cpu_ns: u64,
    /// CPU time of the whole machine, with interrupts and kernel threads.
    pub machine_ns: Option<u64>,
    pub elapsed_ns: u64,
    pub sha256: String,
}

impl Report {
    fn read(path: &Path) -> Result<Report> {
        let text = std::fs::read_to_string(path).map_err(about(path))?;
        Report::parse(&text).map_err(|why| {
            let path = path.display();
            format!("{path}: {why}: make it with `dmabuf compare --json`").into()
        })
    }

    /// Takes the last line that can be a result: a console may have said
    /// something around it.
    fn parse(text: &str) -> std::result::Result<Report, String> {
        let line = text
            .lines()
            .rfind(|line| line.trim_start().starts_with('{'));
        let report: Report = serde_json::from_str(line.ok_or("no result in it")?)
            .map_err(|e| format!("not a result ({e})"))?;
        match report.ways.len() {
            0 => Err("no ways in it".into()),
            _ => Ok(report),
        }
    }

    fn per_mib(&self, ns: u64) -> u64 {
        (u128::from(ns) * (1 << 20) / u128::from(self.bytes.max(1))) as u64
    }

    /// What is wrong with it, one line each; nothing if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (i, way) in self.ways.iter().enumerate() {
            let mut bad = |what: String| problems.push(format!("{}: {what}", way.name));
            if let Some(error) = &way.error {
                bad(error.clone());
                continue;
            }
            if way.sha256 != self.sha256 {
                bad("the buffers do not hold what the file does (SHA-256 differs)".into());
            }
            if i > 0 {
                continue;
            }
            match way.copied_bytes {
                Some(0) => {}
                Some(n) => bad(format!("the CPU copied {}", bytes(n))),
                None => bad("the kernel does not say how much went by DMA".into()),
            }
            if way.cache_grown_bytes > 0 {
                let grown = bytes(way.cache_grown_bytes);
                bad(format!("the page cache grew by {grown}"));
            }
        }
        problems
    }

    /// How many times less CPU the first way takes than another.
    fn factor(&self, other: usize) -> Option<f64> {
        let (first, other) = (self.ways.first()?, self.ways.get(other)?);
        let worked = first.error.is_none() && other.error.is_none() && first.cpu_ns > 0;
        worked.then(|| other.cpu_ns as f64 / first.cpu_ns as f64)
    }
}

pub fn run(args: &Args) -> Result<()> {
    let plain = Report::read(&args.plain)?;
    let counted = Report::read(&args.counted)?;
    let names = |report: &Report| -> Vec<String> {
        report.ways.iter().map(|way| way.name.clone()).collect()
    };
    if names(&plain) != names(&counted) || plain.bytes != counted.bytes {
        return Err("the two results are not of the same comparison: \
                    run `dmabuf compare` again in both boots"
            .into());
    }
    if !counted.counts_instructions {
        return Err(format!(
            "{}: it did not count instructions: make it in a boot under \
             -icount shift=0, or exchange the two files",
            args.counted.display()
        )
        .into());
    }
    print(&render(&plain, Some(&counted)))?;

    let mut problems = plain.problems();
    for problem in counted.problems() {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if let Some(factor) = counted.factor(1).filter(|factor| *factor < args.at_least) {
        problems.push(format!(
            "{}: only {factor:.1} times fewer instructions than {}, not {}",
            counted.ways[0].name, counted.ways[1].name, args.at_least
        ));
    }
    failures(problems)
}

/// An error, if there is anything to complain about.
pub fn failures(problems: Vec<String>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(|p| format!("FAILED: {p}")).collect();
    Err(lines.join("\n").into())
}

/// The table: bytes and speed from one boot, CPU from the other, if there is
/// another.
pub fn render(plain: &Report, counted: Option<&Report>) -> String {
    let cpu = counted.unwrap_or(plain);
    let unit = match cpu.counts_instructions {
        true => "instructions",
        false => "CPU ns",
    };
    let some = |n: Option<u64>| n.map_or("?".into(), bytes);

    // Two lines of heading, then one per way.
    let mut rows = vec![
        [
            "",
            "by DMA",
            "copied by",
            "page cache",
            unit,
            "with",
            "elapsed",
        ]
        .map(String::from),
        [
            "way",
            "",
            "the CPU",
            "grown by",
            "per MiB",
            "interrupts",
            "MB/s",
        ]
        .map(String::from),
    ];
    for (way, costs) in plain.ways.iter().zip(&cpu.ways) {
        rows.push(match way.error.is_some() || costs.error.is_some() {
            true => [way.name.as_str(), "failed", "", "", "", "", ""].map(String::from),
            false => [
                way.name.clone(),
                some(way.dma_bytes),
                some(way.copied_bytes),
                bytes(way.cache_grown_bytes),
                grouped(cpu.per_mib(costs.cpu_ns)),
                costs
                    .machine_ns
                    .map_or(String::new(), |ns| grouped(cpu.per_mib(ns))),
                // Counting instructions, the clock does not tell the time.
                match plain.counts_instructions {
                    true => String::new(),
                    false => format!(
                        "{:.0}",
                        plain.bytes as f64 * 1e3 / way.elapsed_ns.max(1) as f64
                    ),
                },
            ],
        });
    }

    let mut text = format!(
        "A file of {} into {} buffers of {}, kernel {}\n\n",
        bytes(plain.bytes),
        plain.bytes / plain.buffer_bytes.max(1),
        bytes(plain.buffer_bytes),
        plain.kernel
    );
    text += &aligned(&rows);
    text += "\n";
    for (i, what) in [(1, "read()"), (2, "O_DIRECT read()")] {
        if let Some(factor) = cpu.factor(i) {
            text += &format!("splice(2) needs {factor:.0} times fewer {unit} than {what}.\n");
        }
    }
    // Each boot has a file of its own.
    let loaded: Vec<bool> = [plain, cpu]
        .iter()
        .flat_map(|report| report.ways.iter().map(|way| (&report.sha256, way)))
        .filter(|(_, way)| way.error.is_none())
        .map(|(sha256, way)| way.sha256 == *sha256)
        .collect();
    if loaded.contains(&false) {
        text += "SHA-256 NOT EQUAL: a buffer does not hold what the file does.\n";
    } else if !loaded.is_empty() {
        text += &format!(
            "SHA-256 of every buffer equals the file's: {}\n",
            plain.sha256
        );
    }
    text += "By DMA: the disk wrote it into the buffer itself. Copied: the CPU moved it there, \
             byte by byte,\nout of the page cache. ";
    text += match cpu.counts_instructions {
        true => {
            "Instructions: all that the program, and the kernel for it, executed,\n\
             counted one by one by the emulator in a boot of its own"
        }
        false => "CPU ns: what the program, and the kernel for it, took of the CPU",
    };
    text += match cpu.ways.iter().any(|way| way.machine_ns.is_some()) {
        true => "; and what interrupts\nand kernel threads added.\n",
        false => ".\n",
    };
    text
}

/// Left column to the left, numbers to the right, empty columns left out.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let used: Vec<usize> = (0..N)
        .filter(|&i| rows.iter().skip(2).any(|row| !row[i].is_empty()))
        .collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for &i in &used {
            let width = width(i).unwrap_or(0);
            line += &match i {
                0 => format!("{:<width$}", row[i]),
                _ => format!("  {:>width$}", row[i]),
            };
        }
        text += line.trim_end();
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let way = |name: &str, dma: u64, cpu_ns: u64| Way {
            name: name.into(),
            dma_bytes: Some(dma),
            copied_bytes: Some((256 << 20) - dma),
            cache_grown_bytes: (256 << 20) - dma,
            cpu_ns,
            elapsed_ns: 500_000_000,
            sha256: "12ab".into(),
            ..Way::default()
        };
        Report {
            kernel: "7.3.4".into(),
            file: "random.bin".into(),
            bytes: 256 << 20,
            buffer_bytes: 32 << 20,
            counts_instructions: true,
            sha256: "12ab".into(),
            ways: vec![
                way("splice", 256 << 20, 486_400),
                way("read", 0, 292_864_000),
                way("memfd", 256 << 20, 194_560_000),
            ],
        }
    }

    #[test]
    fn survives_the_way_through_a_console() {
        let line = serde_json::to_string(&report()).unwrap();
        let noisy = format!("booting {{ok}}\r\n{line}\r\n[    3.1] bye\n");
        let read = Report::parse(&noisy).unwrap();
        assert_eq!(read.ways[1].cpu_ns, 292_864_000);
        assert!(Report::parse("booting\n").is_err());
        assert!(Report::parse("{}\n").is_err());
    }

    #[test]
    fn the_whole_table() {
        let plain = Report {
            counts_instructions: false,
            ..report()
        };
        let expected = "\
A file of 256 MiB into 8 buffers of 32 MiB, kernel 7.3.4

         by DMA  copied by  page cache  instructions  elapsed
way                the CPU    grown by       per MiB     MB/s
splice  256 MiB          0           0         1 900      537
read          0    256 MiB     256 MiB     1 144 000      537
memfd   256 MiB          0           0       760 000      537

splice(2) needs 602 times fewer instructions than read().
splice(2) needs 400 times fewer instructions than O_DIRECT read().
SHA-256 of every buffer equals the file's: 12ab
";
        let text = render(&plain, Some(&report()));
        assert!(text.starts_with(expected), "{text}");

        let mut whole = report();
        whole.ways[0].machine_ns = Some(256_000_000);
        let text = render(&plain, Some(&whole));
        assert!(text.contains("1 900   1 000 000"), "{text}");
    }

    #[test]
    fn each_boot_has_its_own_file() {
        let mut other = report();
        other.sha256 = "34cd".into();
        for way in &mut other.ways {
            way.sha256 = "34cd".into();
        }
        assert!(render(&report(), Some(&other)).contains("buffer equals the file's: 12ab\n"));
        other.ways[2].sha256 = "12ab".into();
        assert!(render(&report(), Some(&other)).contains("NOT EQUAL"));
    }

    #[test]
    fn all_well_is_no_problem() {
        assert!(report().problems().is_empty());
        assert!(failures(report().problems()).is_ok());
    }

    #[test]
    fn every_failure_is_told() {
        type Spoil = fn(&mut Report);
        let table: &[(Spoil, &str)] = &[
            (
                |r| r.ways[0].copied_bytes = Some(1 << 20),
                "splice: the CPU copied 1 MiB",
            ),
            (
                |r| r.ways[0].copied_bytes = None,
                "splice: the kernel does not say",
            ),
            (
                |r| r.ways[0].cache_grown_bytes = 4096,
                "splice: the page cache grew by 4 KiB",
            ),
            (
                |r| r.ways[2].sha256 = "34cd".into(),
                "memfd: the buffers do not hold",
            ),
            (
                |r| r.ways[1].error = Some("x: y: z".into()),
                "read: x: y: z",
            ),
        ];
        for (spoil, expected) in table {
            let mut report = report();
            spoil(&mut report);
            let problems = report.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected), "{problems:?}");
            assert!(failures(problems).is_err());
        }
    }

    #[test]
    fn a_way_that_failed_has_no_factor() {
        let mut report = report();
        assert_eq!(report.factor(1).map(f64::round), Some(602.0));
        report.ways[1].error = Some("no".into());
        assert_eq!(report.factor(1), None);
        assert!(render(&report, None).contains("read     failed"));
    }
}
