//! Resident memory: what the system gave this process, seen by the system itself.
//!
//! Linux keeps a high-water mark of each process, `VmHWM`. It counts pages and not bytes, and what the allocator keeps
//! for later as well: it is what a person sees who runs out of memory.

/// Where the high-water mark is read.
const STATUS: &str = "/proc/self/status";

/// Where it is put back: 5 asks for that and for nothing else.
const RESET: (&str, &str) = ("/proc/self/clear_refs", "5");

/// The growth of the high-water mark from a moment on, or why it is not known.
pub(crate) struct Resident {
    before: Result<usize, String>,
    /// Whether the mark was put back to what was resident at that moment.
    reset: bool,
}

impl Resident {
    /// The moment from which growth counts.
    pub(crate) fn begin() -> Self {
        let reset = std::fs::write(RESET.0, RESET.1).is_ok();
        Self { before: high_water_bytes(), reset }
    }

    /// Growth in bytes until now, and a caveat where there is one.
    ///
    /// # Errors
    /// With the reason why it is not known.
    pub(crate) fn growth(&self) -> Result<(usize, Option<String>), String> {
        let grown = high_water_bytes()?.saturating_sub(self.before.clone()?);
        let caveat = format!("{} can't be written: resident memory grew by at least so much", RESET.0);
        Ok((grown, (!self.reset).then_some(caveat)))
    }
}

fn high_water_bytes() -> Result<usize, String> {
    let text = std::fs::read_to_string(STATUS)
        .map_err(|error| format!("resident memory is read from {STATUS}: {error}"))?;
    parse(&text).ok_or_else(|| format!("{STATUS} has no line VmHWM with kilobytes"))
}

fn parse(status: &str) -> Option<usize> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_high_water_mark_is_in_kibibytes() {
        assert_eq!(parse("VmPeak:\t  9000 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"), Some(1234 * 1024));
        assert_eq!(parse("VmPeak:\t  9000 kB\n"), None);
        assert_eq!(parse("VmHWM:\t    lots kB\n"), None);
    }
}
