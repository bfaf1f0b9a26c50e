// SPDX-License-Identifier: GPL-2.0 OR MIT

use crate::ways::{Direction, How, Kind, Memory};
use crate::{Result, about, chart, print};
use dmabuf::units::{bytes, grouped};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Print the results of two boots as one table, and judge them.
///
/// The first file is from `dmabuf compare --json` in an ordinary boot, for
/// the speed; the second from one under QEMU's -icount, for the instructions.
/// Ways are matched by what they do; both files need not have the same.
///
/// It is a failure if one of the three ways of `compare --short` did not work,
/// or another that the kernel should know; if data was wrong; if direct
/// splice(2) into a dma-buf left anything to the CPU or to the page cache, or
/// if it does not save as many instructions as demanded. So it is, where
/// instructions were counted in all ways, if this holds not also for writing, or
/// if copying into a dma-buf takes more than by its mapping, all in all.
#[derive(clap::Args)]
pub struct Args {
    /// Result of an ordinary boot
    plain: PathBuf,

    /// Result of a boot that counts instructions; without it, CPU time is
    /// that of the ordinary boot
    counted: Option<PathBuf>,

    /// Fail unless splice(2) needs so many times fewer instructions than read()
    #[arg(long, value_name = "TIMES", default_value = "1")]
    at_least: f64,

    /// Draw the result into this file, as bars
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
}

/// What `compare` found out.
#[derive(Serialize, Deserialize, Default)]
pub struct Report {
    pub kernel: String,
    pub file: PathBuf,
    pub bytes: u64,
    pub buffer_bytes: u64,
    /// One nanosecond of CPU time is one instruction; times are none.
    pub counts_instructions: bool,
    pub sha256: String,
    pub ways: Vec<Way>,
}

#[derive(Serialize, Deserialize, Default)]
pub struct Way {
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
    /// If there is one, the rest says nothing.
    pub error: Option<String>,
    /// The name of the error number, if that is why.
    pub refused: Option<String>,
    /// All data arrived where it should, and was compared.
    pub verified: bool,
    pub dma_bytes: Option<u64>,
    pub copied_bytes: Option<u64>,
    pub copy_reason: Option<String>,
    pub cache_grown_bytes: u64,
    /// CPU time of the process, on both sides of the system call.
    pub cpu_ns: u64,
    pub create_ns: u64,
    pub elapsed_ns: u64,
    pub close_ns: u64,
    /// From the above, for those who want no arithmetic: speed, speed in
    /// percent of the first way of the direction, and CPU per MiB, which is
    /// nanoseconds or instructions.
    pub mb_per_second: Option<f64>,
    pub percent: Option<f64>,
    pub cpu_per_mib: Option<u64>,
}

impl Way {
    fn works(&self) -> bool {
        self.error.is_none()
    }
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

    fn unit(&self) -> &'static str {
        match self.counts_instructions {
            true => "instructions",
            false => "CPU ns",
        }
    }

    fn per_mib(&self, ns: u64) -> u64 {
        (u128::from(ns) * (1 << 20) / u128::from(self.bytes.max(1))) as u64
    }

    /// The ways of one direction, in order.
    pub fn of(&self, direction: Direction) -> impl Iterator<Item = &Way> {
        self.ways
            .iter()
            .filter(move |way| way.kind.direction == direction)
    }

    fn find(&self, kind: Kind) -> Option<&Way> {
        self.ways.iter().find(|way| way.kind == kind)
    }

    /// One of the three ways that show the point.
    fn short(&self, i: usize) -> Option<&Way> {
        self.find(Kind::short()[i].0)
    }

    /// Only these three.
    fn is_short(&self) -> bool {
        let short = Kind::short();
        self.ways
            .iter()
            .all(|way| short.iter().any(|(kind, _)| *kind == way.kind))
    }

    /// Fills in the fields that follow from others.
    pub fn derive(&mut self) {
        let bytes = self.bytes as f64;
        for i in 0..self.ways.len() {
            if !self.ways[i].works() {
                continue;
            }
            let first = self.of(self.ways[i].kind.direction).find(|way| way.works());
            let first = first.map_or(1, |way| way.elapsed_ns.max(1)) as f64;
            let per_mib = self.per_mib(self.ways[i].cpu_ns);
            let way = &mut self.ways[i];
            way.cpu_per_mib = Some(per_mib);
            if !self.counts_instructions {
                let ns = way.elapsed_ns.max(1) as f64;
                way.mb_per_second = Some(bytes * 1e3 / ns);
                way.percent = Some(100.0 * first / ns);
            }
        }
    }

    /// What is wrong with it, one line each; nothing if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let short = Kind::short();
        // A kernel that knows one of these calls should know all.
        let knows = self
            .ways
            .iter()
            .any(|way| way.kind.knows_dma_bufs() && way.works());
        for way in &self.ways {
            let mut bad = |what: String| problems.push(format!("{}: {what}", way.name));
            if let Some(error) = &way.error {
                let must = short.iter().any(|(kind, _)| *kind == way.kind)
                    || (knows && way.kind.knows_dma_bufs());
                if must || way.refused.is_none() {
                    bad(error.clone());
                }
                continue;
            }
            if !way.verified {
                bad("the data was not compared".into());
            }
            if way.kind != Kind::default() {
                continue;
            }
            match way.copied_bytes {
                Some(0) => {}
                Some(n) => {
                    let why = way.copy_reason.as_deref().unwrap_or("unknown");
                    bad(format!("the CPU copied {}, reason: {why}", bytes(n)));
                }
                None => bad("the kernel does not say how much went by DMA".into()),
            }
            if way.cache_grown_bytes > 0 {
                let grown = bytes(way.cache_grown_bytes);
                bad(format!("the page cache grew by {grown}"));
            }
        }
        problems
    }

    /// What ways cost that they should not, compared with each other.
    fn expenses(&self, at_least: f64) -> Vec<String> {
        let mut problems = Vec::new();
        for direction in [Direction::Read, Direction::Write] {
            let find = |memory, call, direct| {
                let kind = Kind {
                    direction,
                    memory,
                    call,
                    direct,
                };
                self.find(kind).filter(|way| way.works())
            };
            let mut compare = |a: Option<&Way>, b: Option<&Way>, cost: fn(&Way) -> u64, most| {
                if let (Some(a), Some(b)) = (a, b) {
                    let ratio = cost(a) as f64 / cost(b).max(1) as f64;
                    if ratio > most {
                        let percent = (100.0 * ratio).ceil();
                        let names = format!("{}: {percent} percent of {}", a.name, b.name);
                        problems.push(format!("{names}, not {} or less", 100.0 * most));
                    }
                }
            };
            let cpu: fn(&Way) -> u64 = |way| way.cpu_ns;
            // Without the mapping that one way needs and the other does not, these are not alike.
            let whole: fn(&Way) -> u64 = |way| way.create_ns + way.cpu_ns + way.close_ns;
            let mapped = find(Memory::HeapMmap, How::ReadWrite, false);

            let splice = find(Memory::Heap, How::Splice, true);
            compare(splice, mapped, cpu, 1.0 / at_least);
            for call in [How::Splice, How::Sendfile, How::CopyFileRange] {
                compare(find(Memory::Heap, call, false), mapped, whole, 1.0);
                let mapped = find(Memory::UdmabufMmap, How::ReadWrite, false);
                compare(find(Memory::Udmabuf, call, false), mapped, whole, 1.0);
            }
        }
        problems
    }

    /// How many times as much CPU one of the short ways takes as the first.
    fn factor(&self, i: usize) -> Option<f64> {
        let ways = [self.short(0)?, self.short(i)?];
        ways.iter()
            .all(|way| way.works())
            .then(|| ways[1].cpu_ns as f64 / ways[0].cpu_ns.max(1) as f64)
    }
}

pub fn run(args: &Args) -> Result<()> {
    let plain = Report::read(&args.plain)?;
    let counted = match &args.counted {
        None => None,
        Some(path) => match Report::read(path)? {
            report if report.counts_instructions => Some(report),
            _ => {
                return Err(format!(
                    "{}: nanoseconds, not instructions, were counted there: \
                     boot with -icount shift=0 and one CPU",
                    path.display()
                )
                .into());
            }
        },
    };
    let counted = counted.as_ref();
    if let Some(path) = &args.svg {
        std::fs::write(path, chart::draw(&plain, counted)).map_err(about(path))?;
    }
    print(&render(&plain, counted))?;

    let mut problems = plain.problems();
    for problem in counted.map_or(Vec::new(), Report::problems) {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let cpu = counted.unwrap_or(&plain);
    match cpu.factor(1) {
        Some(factor) if factor < args.at_least => problems.push(format!(
            "{}: only {factor:.1} times fewer {} than {}, not {}",
            Kind::short()[0].1,
            cpu.unit(),
            Kind::short()[1].1,
            args.at_least
        )),
        _ => {}
    }
    if let Some(counted) = counted {
        problems.extend(counted.expenses(args.at_least));
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

/// The table: bytes and times from one boot, CPU from the other, if there is
/// another.
pub fn render(plain: &Report, counted: Option<&Report>) -> String {
    let cpu = counted.unwrap_or(plain);
    let unit = cpu.unit();
    let short = plain.is_short();
    let mut text = format!(
        "A file of {} {} {} buffers of {}, kernel {}\n\n",
        bytes(plain.bytes),
        if short { "into" } else { "and" },
        plain.bytes / plain.buffer_bytes.max(1),
        bytes(plain.buffer_bytes),
        plain.kernel
    );
    for direction in [Direction::Read, Direction::Write] {
        let mut rows = match short {
            true => short_heading(unit),
            false => heading(direction, unit),
        };
        let before = rows.len();
        for way in plain.of(direction) {
            let costs = cpu.find(way.kind).filter(|costs| costs.works());
            rows.push(match short {
                true => short_row(plain, cpu, way, costs),
                false => row(plain, cpu, way, costs),
            });
        }
        if rows.len() > before {
            text += &aligned(&rows);
            text += "\n";
        }
    }
    for (i, what) in [(1, "read()"), (2, "O_DIRECT read()")] {
        if let Some(factor) = cpu.factor(i) {
            text += &format!("splice(2) needs {factor:.0} times fewer {unit} than {what}.\n");
        }
    }
    text += &notes(plain, cpu);
    text
}

const WIDTH: usize = 11;
type Row = [String; WIDTH];

fn to_row(cells: &[&str]) -> Row {
    std::array::from_fn(|i| cells.get(i).copied().unwrap_or("").into())
}

fn some(n: Option<u64>) -> String {
    n.map_or("?".into(), bytes)
}

fn speed(report: &Report, way: &Way) -> String {
    // Counting instructions, the clock does not tell the time.
    match report.counts_instructions {
        true => String::new(),
        false => format!(
            "{:.0}",
            report.bytes as f64 * 1e3 / way.elapsed_ns.max(1) as f64
        ),
    }
}

/// Two lines of heading, then one per way.
fn short_heading(unit: &str) -> Vec<Row> {
    vec![
        to_row(&["", "by DMA", "copied by", "page cache", unit, "elapsed"]),
        to_row(&["way", "", "the CPU", "grown by", "per MiB", "MB/s"]),
    ]
}

fn cpu_cell(cpu: &Report, costs: Option<&Way>) -> String {
    costs.map_or(String::new(), |way| grouped(cpu.per_mib(way.cpu_ns)))
}

fn short_row(plain: &Report, cpu: &Report, way: &Way, costs: Option<&Way>) -> Row {
    if !way.works() || costs.is_none() {
        return to_row(&[&way.name, "failed"]);
    }
    to_row(&[
        &way.name,
        &some(way.dma_bytes),
        &some(way.copied_bytes),
        &bytes(way.cache_grown_bytes),
        &cpu_cell(cpu, costs),
        &speed(plain, way),
    ])
}

fn heading(direction: Direction, unit: &str) -> Vec<Row> {
    let what = match direction {
        Direction::Read => "from the file to",
        Direction::Write => "to the file from",
    };
    vec![
        to_row(&[
            what,
            "create",
            "I/O",
            "close",
            "I/O",
            "% of",
            unit,
            "by",
            "copied",
            "page cache",
            "copied,",
        ]),
        to_row(&[
            "", "ms", "ms", "ms", "MB/s", "first", "per MiB", "DMA", "by CPU", "grown by", "why",
        ]),
    ]
}

fn row(plain: &Report, cpu: &Report, way: &Way, costs: Option<&Way>) -> Row {
    if !way.works() {
        let why = way.refused.as_deref().unwrap_or("FAILED");
        return to_row(&[&way.name, "", why]);
    }
    let ms = |ns: u64| match plain.counts_instructions {
        true => String::new(),
        false => format!("{:.1}", ns as f64 / 1e6),
    };
    to_row(&[
        &way.name,
        &ms(way.create_ns),
        &ms(way.elapsed_ns),
        &ms(way.close_ns),
        &speed(plain, way),
        &way.percent.map_or(String::new(), |p| format!("{p:.0}")),
        &cpu_cell(cpu, costs),
        &some(way.dma_bytes),
        &some(way.copied_bytes),
        &bytes(way.cache_grown_bytes),
        way.copy_reason.as_deref().unwrap_or(""),
    ])
}

/// What was proved, and what the words mean.
fn notes(plain: &Report, cpu: &Report) -> String {
    let mut text = String::new();
    let works = |report: &Report| {
        let works: Vec<&Way> = report.ways.iter().filter(|way| way.works()).collect();
        (!works.is_empty()).then(|| works.iter().all(|way| way.verified))
    };
    match (works(plain), works(cpu)) {
        (Some(true), Some(true)) => {
            text += &format!(
                "All data was compared, byte by byte; SHA-256 of the file: {}\n",
                plain.sha256
            );
        }
        (None, None) => {}
        _ => text += "NOT EVERYTHING WAS COMPARED.\n",
    }
    text += "By DMA: the disk moved it between itself and the buffer. Copied: the CPU moved it, \
             byte by byte,\nthrough the page cache. ";
    text += match cpu.counts_instructions {
        true => {
            "Instructions: what the program, and the kernel in its system calls, executed,\n\
             counted one by one by the emulator in a boot of its own; not those of interrupts.\n"
        }
        false => "CPU ns: what the program, and the kernel in its system calls, took of the CPU.\n",
    };
    if cpu.bytes != plain.bytes {
        text += &format!("There, the file had {}.\n", bytes(cpu.bytes));
    }
    let mut refused: Vec<&str> = plain
        .ways
        .iter()
        .filter_map(|way| way.refused.as_deref())
        .collect();
    refused.sort_unstable();
    refused.dedup();
    if !refused.is_empty() {
        text += &format!(
            "{}: Linux refuses this way with that error.\n",
            refused.join(", ")
        );
    }
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
pub mod tests {
    use super::*;

    pub fn report() -> Report {
        let short = Kind::short();
        let way = |name: &str, i: usize, dma: u64, cpu_ns: u64| Way {
            name: name.into(),
            kind: short[i].0,
            dma_bytes: Some(dma),
            copied_bytes: Some((256 << 20) - dma),
            cache_grown_bytes: (256 << 20) - dma,
            cpu_ns,
            elapsed_ns: 500_000_000,
            verified: true,
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
                way("splice", 0, 256 << 20, 486_400),
                way("read", 1, 0, 292_864_000),
                way("memfd", 2, 256 << 20, 194_560_000),
            ],
        }
    }

    /// All ways of both directions, one of them refused.
    pub fn whole() -> Report {
        let mut report = report();
        let kinds = [Direction::Read, Direction::Write].map(Kind::all).concat();
        report.ways = kinds
            .into_iter()
            .enumerate()
            .map(|(i, kind)| Way {
                name: kind.name(),
                kind,
                dma_bytes: Some(if kind.direct { 256 << 20 } else { 0 }),
                copied_bytes: Some(if kind.direct { 0 } else { 256 << 20 }),
                copy_reason: (!kind.direct && kind.knows_dma_bufs()).then(|| "buffered".into()),
                cpu_ns: 1_000_000 * (i as u64 + 1),
                create_ns: 1_500_000,
                close_ns: 250_000,
                elapsed_ns: 1_000_000_000 / (i as u64 + 1),
                verified: true,
                ..Way::default()
            })
            .collect();
        report.ways[5] = Way {
            name: report.ways[5].name.clone(),
            kind: report.ways[5].kind,
            error: Some("bad address".into()),
            refused: Some("EFAULT".into()),
            ..Way::default()
        };
        report.counts_instructions = false;
        report.derive();
        report
    }

    #[test]
    fn survives_the_way_through_a_console() {
        let line = serde_json::to_string(&whole()).unwrap();
        let noisy = format!("booting {{ok}}\r\n{line}\r\n[    3.1] bye\n");
        let read = Report::parse(&noisy).unwrap();
        assert_eq!(read.ways.len(), 40);
        assert_eq!(read.ways[1].cpu_ns, 2_000_000);
        assert_eq!(read.ways[21].kind, Kind::all(Direction::Write)[1]);
        assert!(line.contains(r#""direction":"write","memory":"heap","call":"splice""#));
        assert!(Report::parse("booting\n").is_err());
        assert!(Report::parse("{}\n").is_err());
    }

    #[test]
    fn the_short_table() {
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
All data was compared, byte by byte; SHA-256 of the file: 12ab
";
        let text = render(&plain, Some(&report()));
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn the_long_table() {
        let text = render(&whole(), None);
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start));
            line.unwrap_or_else(|| panic!("no '{start}' in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            line("memfd, read()"),
            "memfd, read() 1.5 1000.0 0.2 268 100 3 906 0 256 MiB 0"
        );
        assert_eq!(
            line("udmabuf mmap, O_DIRECT read()"),
            "udmabuf mmap, O_DIRECT read() EFAULT"
        );
        assert_eq!(
            line("udmabuf, splice()"),
            "udmabuf, splice() 1.5 90.9 0.2 2953 1100 42 968 0 256 MiB 0 buffered"
        );
        assert!(text.contains("to the file from"), "{text}");
        assert!(text.contains("EFAULT: Linux refuses"), "{text}");
        // What another boot did not try has no figure.
        let mut counted = report();
        counted.bytes /= 2;
        counted.ways[1].cpu_ns /= 2;
        let text = render(&whole(), Some(&counted));
        assert!(text.contains("There, the file had 128 MiB."), "{text}");
        assert!(text.contains("1 144 000"), "{text}");
    }

    #[test]
    fn ways_that_cost_more_than_they_should() {
        let mut report = whole();
        for way in &mut report.ways {
            way.cpu_ns = if way.kind.direct { 10_000 } else { 2_000_000 };
        }
        assert_eq!(report.expenses(200.0), [""; 0]);
        assert_eq!(report.expenses(201.0).len(), 2);

        let find = |report: &Report, name: &str, direction| {
            let mut ways = report.ways.iter();
            ways.position(|way| way.name == name && way.kind.direction == direction)
                .unwrap()
        };
        let i = find(&report, "udmabuf, splice()", Direction::Read);
        report.ways[i].cpu_ns += 1;
        assert_eq!(
            report.expenses(100.0),
            ["udmabuf, splice(): 101 percent of udmabuf mmap, read(), not 100 or less"]
        );
        // Whatever it saves before and after counts as well.
        report.ways[i].close_ns -= 1;
        assert_eq!(report.expenses(100.0), [""; 0]);
    }

    #[test]
    fn percent_of_the_first_of_its_direction() {
        let report = whole();
        assert_eq!(report.ways[0].percent, Some(100.0));
        assert_eq!(report.ways[1].percent.map(f64::round), Some(200.0));
        assert_eq!(report.ways[5].percent, None);
        assert_eq!(report.ways[20].percent, Some(100.0));
    }

    #[test]
    fn what_was_not_compared_is_told() {
        let mut other = report();
        assert!(render(&report(), Some(&other)).contains("All data was compared"));
        other.ways[2].verified = false;
        assert!(render(&report(), Some(&other)).contains("NOT EVERYTHING WAS COMPARED"));
    }

    #[test]
    fn all_well_is_no_problem() {
        assert!(report().problems().is_empty());
        assert!(whole().problems().is_empty());
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
                |r| r.ways[2].verified = false,
                "memfd: the data was not compared",
            ),
            (
                |r| r.ways[1].error = Some("x: y: z".into()),
                "read: x: y: z",
            ),
            (
                |r| r.ways.last_mut().unwrap().error = Some("WRONG DATA".into()),
                ": WRONG DATA",
            ),
        ];
        for (spoil, expected) in table {
            let mut report = report();
            spoil(&mut report);
            let problems = report.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
            assert!(failures(problems).is_err());
        }
    }

    #[test]
    fn a_refusal_is_a_failure_only_where_it_must_not_be() {
        let refuse = |report: &mut Report, i: usize| {
            report.ways[i].error = Some("no".into());
            report.ways[i].refused = Some("EINVAL".into());
        };
        let mut report = whole();
        refuse(&mut report, 7);
        assert!(report.problems().is_empty(), "O_DIRECT to an mmap");
        // One of the new calls, while the others work.
        refuse(&mut report, 38);
        assert_eq!(report.problems().len(), 1);
        // A kernel without any of them: only the short ones are demanded.
        for i in 0..report.ways.len() {
            if report.ways[i].kind.knows_dma_bufs() {
                refuse(&mut report, i);
            }
        }
        assert_eq!(report.problems().len(), 1);
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
