// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sizes for people: `32 MiB`, written and read.

const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// A size with its unit, exact where it is a whole number of units.
///
/// ```
/// use dmabuf::units::bytes;
/// assert_eq!(bytes(256 << 20), "256 MiB");
/// assert_eq!(bytes(1_610_612_736), "1.5 GiB");
/// assert_eq!(bytes(0), "0");
/// assert_eq!(bytes(17), "17 bytes");
/// ```
pub fn bytes(n: u64) -> String {
    for (name, unit) in UNITS {
        if n >= unit {
            return if n % unit == 0 {
                format!("{} {name}", n / unit)
            } else {
                format!("{:.1} {name}", n as f64 / unit as f64)
            };
        }
    }
    match n {
        0 => "0".into(),
        1 => "1 byte".into(),
        _ => format!("{n} bytes"),
    }
}

/// Reads what [`bytes`] writes, and the short forms people type.
///
/// ```
/// use dmabuf::units::parse_bytes;
/// assert_eq!(parse_bytes("32MiB"), Ok(32 << 20));
/// assert_eq!(parse_bytes("4 k"), Ok(4096));
/// assert_eq!(parse_bytes("512"), Ok(512));
/// assert!(parse_bytes("32 MB").unwrap_err().contains("MiB"));
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("'{text}' is not a size; write for example 32MiB or 4096"))?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        other => {
            return Err(format!(
                "unknown unit '{other}'; the units are KiB, MiB, GiB and TiB"
            ));
        }
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("'{text}' is larger than any file"))
}

/// `1234567` as `1 234 567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back() {
        for n in [0, 1, 17, 4096, 256 << 20, 3 << 30, 5 << 40] {
            let text = bytes(n).replace("byte", "").replace('s', "");
            assert_eq!(parse_bytes(&text), Ok(n), "{n}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "32 parsecs",
            "99999999999999999999",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert!(parse_bytes("99999999TiB").is_err());
    }

    #[test]
    fn digits_in_groups() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1000), "1 000");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
