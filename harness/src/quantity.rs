//! Sizes and durations, read from flags and shown to people.

/// Reads a size in bytes: `512MiB`, `2G`, `1.5GB`, `1000`. K, M and G are powers of 1024; KB, MB, GB of 1000.
///
/// # Errors
/// States the forms it knows.
pub fn size(text: &str) -> Result<usize, String> {
    let rule = "must be a size such as 512MiB, 2GiB or 800MB";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err(rule.to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number.is_finite() => Ok((number * factor) as usize),
        _ => Err(rule.to_owned()),
    }
}

/// A size for people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A limit for people, in the largest unit that it fills: `8 GiB`, `1.5 GiB`, `512 MiB`.
pub(crate) fn limit(bytes: usize) -> String {
    let (unit, name) = match bytes {
        0..1024 => (1, "B"),
        1024..1_048_576 => (1 << 10, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    format!("{} {name}", (bytes as f64 / f64::from(unit) * 100.0).round() / 100.0)
}

/// A duration for people: `8 s`, `3:07`, `1:02:45`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, limit, size};

    #[test]
    fn sizes_and_durations() {
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("1.5 MiB"), Ok(3 << 19));
        assert_eq!(size("800MB"), Ok(800_000_000));
        assert!(size("0").is_err() && size("0.1").is_err() && size("-1G").is_err() && size("lots").is_err());
        assert_eq!((limit(8 << 30).as_str(), limit(3 << 29).as_str()), ("8 GiB", "1.5 GiB"));
        assert_eq!((limit(512 << 20).as_str(), limit(800_000_000).as_str()), ("512 MiB", "762.94 MiB"));
        assert_eq!((duration(7.6).as_str(), duration(187.0).as_str()), ("8 s", "3:07"));
        assert_eq!(duration(3_765.0), "1:02:45");
    }
}
