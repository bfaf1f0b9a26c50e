// SPDX-License-Identifier: GPL-2.0 OR MIT

/// What the kernel tells about a dma-buf in `/proc/self/fdinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Size in bytes.
    pub size: u64,
    /// Who made it: `system`, `udmabuf`, the name of a driver.
    pub exporter: String,
    /// The name user space gave it, if any.
    pub name: Option<String>,
    /// Bytes that disks wrote into the buffer themselves, by direct I/O from
    /// files. `None` when the kernel has no dma-buf direct I/O.
    pub dio_read_bytes: Option<u64>,
    /// Bytes that disks fetched from the buffer themselves, by direct I/O to
    /// files. `None` when the kernel has no dma-buf direct I/O.
    pub dio_write_bytes: Option<u64>,
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
            match key {
                "size" => stats.size = value.parse().ok()?,
                "exp_name" => {
                    is_dmabuf = true;
                    stats.exporter = value.into();
                }
                "name" => stats.name = Some(value.into()),
                "dio_read_bytes" => stats.dio_read_bytes = Some(value.parse().ok()?),
                "dio_write_bytes" => stats.dio_write_bytes = Some(value.parse().ok()?),
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
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t10\nino:\t3\nsize:\t33554432\ncount:\t1\n\
                    exp_name:\tsystem\nname:\tweights: layer 1\ndio_read_bytes:\t8589934592\n\
                    dio_write_bytes:\t0\nsomething_new:\tyes\n";
        assert_eq!(
            Stats::parse(text),
            Some(Stats {
                size: 33_554_432,
                exporter: "system".into(),
                name: Some("weights: layer 1".into()),
                dio_read_bytes: Some(8_589_934_592),
                dio_write_bytes: Some(0),
            })
        );
    }

    #[test]
    fn a_kernel_without() {
        let stats = Stats::parse("size:\t4096\ncount:\t1\nexp_name:\tudmabuf\n").unwrap();
        assert_eq!(stats.dio_read_bytes, None);
        assert_eq!(stats.name, None);
    }

    #[test]
    fn other_files_and_nonsense() {
        assert_eq!(Stats::parse("pos:\t0\nflags:\t02\n"), None);
        assert_eq!(Stats::parse(""), None);
        assert_eq!(Stats::parse("exp_name:\tx\nsize:\tlarge\n"), None);
    }
}
