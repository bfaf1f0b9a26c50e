// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::fmt;

/// What the kernel tells about a dma-buf in `/proc/self/fdinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Size in bytes.
    pub size: u64,
    /// Position of this descriptor: where calls without an offset start.
    pub position: u64,
    /// Who made it: `system`, `udmabuf`, the name of a driver.
    pub exporter: String,
    /// The name user space gave it, if any.
    pub name: Option<String>,
    /// What went between files and the buffer. `None` when the kernel has no
    /// dma-buf direct I/O.
    pub io: Option<Counters>,
}

/// Bytes that went between files and a dma-buf since it was made, by whatever
/// process and call. They only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// `dio_read_bytes`: disks wrote them into the buffer themselves.
    pub dio_read_bytes: u64,
    /// `dio_write_bytes`: disks fetched them from the buffer themselves.
    pub dio_write_bytes: u64,
    /// `copy_read_bytes`: the CPU copied them from files into the buffer.
    pub copy_read_bytes: u64,
    /// `copy_write_bytes`: the CPU copied them from the buffer to files.
    pub copy_write_bytes: u64,
    /// `copy_reason`: why the last copy was one. `None` if there was none.
    pub copy_reason: Option<CopyReason>,
}

impl Counters {
    /// What was added since `before`, with the newest reason if anything was
    /// copied meanwhile.
    ///
    /// ```
    /// use dmabuf::{CopyReason, Counters};
    /// let before = Counters { dio_read_bytes: 4096, ..Counters::default() };
    /// let after = Counters {
    ///     dio_read_bytes: 12288,
    ///     copy_read_bytes: 100,
    ///     copy_reason: Some(CopyReason::Alignment),
    ///     ..before.clone()
    /// };
    /// let between = after.since(&before);
    /// assert_eq!((between.dio_read_bytes, between.copy_read_bytes), (8192, 100));
    /// assert_eq!(between.copy_reason, Some(CopyReason::Alignment));
    /// assert_eq!(after.since(&after).copy_reason, None);
    /// ```
    pub fn since(&self, before: &Counters) -> Counters {
        let copy_read_bytes = self.copy_read_bytes.saturating_sub(before.copy_read_bytes);
        let copy_write_bytes = self
            .copy_write_bytes
            .saturating_sub(before.copy_write_bytes);
        Counters {
            dio_read_bytes: self.dio_read_bytes.saturating_sub(before.dio_read_bytes),
            dio_write_bytes: self.dio_write_bytes.saturating_sub(before.dio_write_bytes),
            copy_read_bytes,
            copy_write_bytes,
            copy_reason: match copy_read_bytes + copy_write_bytes {
                0 => None,
                _ => self.copy_reason.clone(),
            },
        }
    }
}

/// Why the CPU had to copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CopyReason {
    /// The file is not open with `O_DIRECT`.
    Buffered,
    /// The file, or its file system, does not take part.
    File,
    /// Offset or length are not multiples of the disk's block.
    Alignment,
    /// A hole, or an extent that was never written: nothing on the disk.
    Hole,
    /// The disk, or a layer above it, does not take part.
    Disk,
    /// The disk cannot reach the memory of the buffer.
    Mapping,
    /// One that this version does not know.
    Other(String),
}

impl CopyReason {
    /// The kernel's word; `None` for its `none`.
    pub(crate) fn parse(word: &str) -> Option<CopyReason> {
        Some(match word {
            "none" => return None,
            "buffered" => CopyReason::Buffered,
            "file" => CopyReason::File,
            "alignment" => CopyReason::Alignment,
            "hole" => CopyReason::Hole,
            "disk" => CopyReason::Disk,
            "mapping" => CopyReason::Mapping,
            other => CopyReason::Other(other.into()),
        })
    }

    /// The kernel's word.
    ///
    /// ```
    /// assert_eq!(dmabuf::CopyReason::Hole.word(), "hole");
    /// ```
    pub fn word(&self) -> &str {
        match self {
            CopyReason::Buffered => "buffered",
            CopyReason::File => "file",
            CopyReason::Alignment => "alignment",
            CopyReason::Hole => "hole",
            CopyReason::Disk => "disk",
            CopyReason::Mapping => "mapping",
            CopyReason::Other(word) => word,
        }
    }
}

/// A sentence: the reason, and what would help.
impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CopyReason::Buffered => "the file is open without O_DIRECT, which not every file has",
            CopyReason::File => {
                "the file or its file system does not do it directly; ext4, XFS, F2FS and raw \
                 disks do"
            }
            CopyReason::Alignment => "not in whole blocks of the disk",
            CopyReason::Hole => "holes or space that was never written",
            CopyReason::Disk => "the disk, or a layer above it, does not do it directly; NVMe does",
            CopyReason::Mapping => "the disk cannot reach the memory of the buffer",
            CopyReason::Other(word) => word,
        })
    }
}

impl Stats {
    /// `None` if the text is not about a dma-buf. Lines it does not know are
    /// left to newer versions.
    pub(crate) fn parse(fdinfo: &str) -> Option<Stats> {
        let mut stats = Stats::default();
        let mut is_dmabuf = false;
        for line in fdinfo.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            let mut count = |field: fn(&mut Counters) -> &mut u64| {
                let io = stats.io.get_or_insert_default();
                *field(io) = value.parse().ok()?;
                Some(())
            };
            match key {
                "dio_read_bytes" => count(|io| &mut io.dio_read_bytes)?,
                "dio_write_bytes" => count(|io| &mut io.dio_write_bytes)?,
                "copy_read_bytes" => count(|io| &mut io.copy_read_bytes)?,
                "copy_write_bytes" => count(|io| &mut io.copy_write_bytes)?,
                "copy_reason" => {
                    stats.io.get_or_insert_default().copy_reason = CopyReason::parse(value);
                }
                "size" => stats.size = value.parse().ok()?,
                "pos" => stats.position = value.parse().ok()?,
                "exp_name" => {
                    is_dmabuf = true;
                    stats.exporter = value.into();
                }
                "name" => stats.name = Some(value.into()),
                _ => {}
            }
        }
        is_dmabuf.then_some(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_with_direct_io() {
        let text = "pos:\t4096\nflags:\t02000002\nmnt_id:\t10\nino:\t3\nsize:\t33554432\ncount:\t1\n\
                    exp_name:\tsystem\nname:\tweights: layer 1\ndio_read_bytes:\t8589934592\n\
                    dio_write_bytes:\t0\ncopy_read_bytes:\t17\ncopy_write_bytes:\t5\n\
                    copy_reason:\thole\nsomething_new:\tyes\n";
        assert_eq!(
            Stats::parse(text),
            Some(Stats {
                size: 33_554_432,
                position: 4096,
                exporter: "system".into(),
                name: Some("weights: layer 1".into()),
                io: Some(Counters {
                    dio_read_bytes: 8_589_934_592,
                    dio_write_bytes: 0,
                    copy_read_bytes: 17,
                    copy_write_bytes: 5,
                    copy_reason: Some(CopyReason::Hole),
                }),
            })
        );
    }

    #[test]
    fn a_kernel_without() {
        let stats = Stats::parse("size:\t4096\ncount:\t1\nexp_name:\tudmabuf\n").unwrap();
        assert_eq!(stats.io, None);
        assert_eq!(stats.name, None);
    }

    #[test]
    fn other_files_and_nonsense() {
        assert_eq!(Stats::parse("pos:\t0\nflags:\t02\n"), None);
        assert_eq!(Stats::parse(""), None);
        assert_eq!(Stats::parse("exp_name:\tx\nsize:\tlarge\n"), None);
        assert_eq!(Stats::parse("exp_name:\tx\ndio_read_bytes:\t-1\n"), None);
    }

    #[test]
    fn reasons_read_back() {
        for word in [
            "buffered",
            "file",
            "alignment",
            "hole",
            "disk",
            "mapping",
            "moon",
        ] {
            let reason = CopyReason::parse(word).unwrap();
            assert_eq!(reason.word(), word);
            assert_eq!(
                matches!(reason, CopyReason::Other(_)),
                word == "moon",
                "{word}"
            );
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(CopyReason::parse("none"), None);
    }
}
