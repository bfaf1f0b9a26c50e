// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The comparison as bars: one SVG file that needs nothing else, on light and
//! on dark pages.

use crate::table::{Report, Way};
use crate::ways::Direction;
use dmabuf::units::{bytes, grouped};
use std::fmt::Write;

/// Everything in pixels.
const WIDTH: u32 = 960;
const LEFT: u32 = 310;
const BARS: u32 = 500;
const ROW: u32 = 20;
const BAR: u32 = 14;

/// It has a background of its own, and colours for both.
const STYLE: &str = "\
.page{fill:#fff}
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}
.head{font-weight:600}
.dim{fill:#59636e}
.direct{fill:#0a6fb8}
.buffered{fill:#b35900}
.axis{stroke:#d1d9e0}
.refused{fill:#59636e;font-style:italic}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}
text{fill:#f0f6fc}
.dim,.refused{fill:#9198a1}
.direct{fill:#58a6ff}
.buffered{fill:#e3902b}
.axis{stroke:#3d444d}
}";

/// What a panel shows of a way.
struct Measure {
    title: String,
    value: fn(&Report, &Way) -> Option<f64>,
    label: fn(f64) -> String,
    /// Values differ so much that bars show their order of magnitude.
    log: bool,
}

/// Speed from one boot and instructions from the other, or what there is.
pub fn draw(plain: &Report, counted: Option<&Report>) -> String {
    let speed = Measure {
        title: "MB/s, longer is better".into(),
        value: |_, way| way.mb_per_second,
        label: |n| format!("{n:.0}"),
        log: false,
    };
    let cpu = |report: &Report| Measure {
        title: match report.counts_instructions {
            true => "CPU instructions per MiB, logarithmic, shorter is better".into(),
            false => "CPU ns per MiB, logarithmic, shorter is better".into(),
        },
        value: |_, way| way.cpu_per_mib.map(|n| n as f64),
        label: |n| grouped(n as u64),
        log: true,
    };
    let mut panels = Vec::new();
    if !plain.counts_instructions {
        panels.push((plain, speed));
    }
    let counted = counted.unwrap_or(plain);
    panels.push((counted, cpu(counted)));

    let mut body = String::new();
    let mut y = 70;
    for (report, measure) in &panels {
        for direction in [Direction::Read, Direction::Write] {
            let ways: Vec<&Way> = report.of(direction).collect();
            if !ways.is_empty() {
                y = panel(&mut body, y, report, measure, direction, &ways);
            }
        }
    }
    let title = format!(
        "A file of {} and dma-bufs of {}, Linux {}",
        bytes(plain.bytes),
        bytes(plain.buffer_bytes),
        plain.kernel
    );
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         width=\"{WIDTH}\" height=\"{y}\" role=\"img\" aria-label=\"{0}\">\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{y}\"/>\n\
         <text class=\"title\" x=\"16\" y=\"28\">{0}</text>\n",
        escape(&title)
    );
    for (x, class, text) in [
        (16, "direct", "O_DIRECT"),
        (120, "buffered", "through the page cache"),
    ] {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"41\" width=\"14\" height=\"14\"/>\
             <text x=\"{}\" y=\"53\">{text}</text>",
            x + 20
        );
    }
    svg + &body + "</svg>\n"
}

fn panel(
    svg: &mut String,
    mut y: u32,
    report: &Report,
    measure: &Measure,
    direction: Direction,
    ways: &[&Way],
) -> u32 {
    let direction = match direction {
        Direction::Read => "From the file to memory",
        Direction::Write => "From memory to the file",
    };
    y += 24;
    let _ = writeln!(
        svg,
        "<text class=\"head\" x=\"16\" y=\"{y}\">{direction}</text>\
         <text class=\"dim\" x=\"{LEFT}\" y=\"{y}\">{}</text>",
        escape(&measure.title)
    );
    y += 10;
    let top = y;
    let value = |way: &Way| match way.error {
        Some(_) => None,
        None => (measure.value)(report, way),
    };
    let scale = Scale::of(ways.iter().filter_map(|way| value(way)), measure.log);
    for way in ways {
        let base = y + BAR;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8,
            base - 2,
            escape(&way.name)
        );
        match value(way) {
            Some(value) => {
                let class = if way.kind.direct {
                    "direct"
                } else {
                    "buffered"
                };
                let width = scale.width(value);
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width}\" \
                     height=\"{BAR}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                    LEFT + width + 6,
                    base - 2,
                    (measure.label)(value)
                );
            }
            None => {
                let why = match (&way.refused, &way.error) {
                    (Some(errno), _) => format!("refused: {errno}"),
                    (None, Some(_)) => "FAILED".into(),
                    (None, None) => "not measured".into(),
                };
                let _ = writeln!(
                    svg,
                    "<text class=\"refused\" x=\"{}\" y=\"{}\">{}</text>",
                    LEFT + 6,
                    base - 2,
                    escape(&why)
                );
            }
        }
        y += ROW;
    }
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{top}\" x2=\"{LEFT}\" y2=\"{y}\"/>"
    );
    y + 12
}

/// From values to widths.
struct Scale {
    log: bool,
    least: f64,
    most: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, log: bool) -> Scale {
        let (least, most) = values.fold((f64::MAX, 1.0), |(least, most), value| {
            (f64::min(least, value), f64::max(most, value))
        });
        // A whole power of ten below the least.
        let least = 10f64.powf(least.clamp(1.0, 1e18).log10().ceil() - 1.0);
        Scale { log, least, most }
    }

    fn width(&self, value: f64) -> u32 {
        let part = match self.log {
            true => (value.max(self.least) / self.least).log10() / (self.most / self.least).log10(),
            false => value / self.most,
        };
        (part.clamp(0.0, 1.0) * f64::from(BARS)).round().max(1.0) as u32
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{report, whole};

    #[test]
    fn every_way_has_its_bar_or_its_error() {
        let svg = draw(&whole(), None);
        // Two panels for each direction; a background, two in the legend.
        assert_eq!(svg.matches("<rect").count(), 2 * 39 + 3);
        assert_eq!(svg.matches("refused: EFAULT").count(), 2);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("href") && !svg.contains("NaN"));
        assert!(svg.contains("prefers-color-scheme"));
    }

    #[test]
    fn instructions_come_from_the_other_boot() {
        let mut counted = report();
        counted.derive();
        let svg = draw(&whole(), Some(&counted));
        assert!(svg.contains("CPU instructions per MiB"));
        assert!(svg.contains(">1 144 000<"), "{svg}");
        // Alone, it has no speed to show.
        assert!(!draw(&counted, None).contains("MB/s"));
    }

    #[test]
    fn widths_of_both_scales() {
        let linear = Scale::of([10.0, 1000.0].into_iter(), false);
        assert_eq!((linear.width(1000.0), linear.width(10.0)), (500, 5));
        assert_eq!(linear.width(0.0), 1);
        let log = Scale::of([1000.0, 100_000.0].into_iter(), true);
        assert_eq!((log.width(100_000.0), log.width(1000.0)), (500, 167));
        assert!(Scale::of(std::iter::empty(), true).width(1.0) <= BARS);
    }

    #[test]
    fn names_cannot_break_the_file() {
        assert_eq!(escape("a<b & \"c\""), "a&lt;b &amp; &quot;c&quot;");
    }
}
