//! What was measured, as a short table.

use super::{Found, Measured};

/// One line a group: where, which law, and the bytes of the laws and of an accelerator's pool along T or blocks.
pub(crate) fn table(found: &[Found<'_>]) -> String {
    let head = ["network", "method", "T", "blocks", "law", "bytes of the laws", "bytes of the pool"];
    let mut lines = vec![head.map(str::to_owned)];
    for found in found {
        let group = found.group;
        let own = |blocks: &Option<usize>| blocks.map_or("own".to_owned(), |blocks| blocks.to_string());
        let bytes = |of: fn(&Measured) -> Option<usize>| {
            joined(found.cells.iter().map(|cell| {
                let run = cell.runs.as_ref().ok().and_then(|runs| runs.first());
                let bytes = run.and_then(|(_, run)| of(run));
                bytes.map_or("-".to_owned(), |bytes| grouped(bytes as u64))
            }))
        };
        lines.push([
            group.network.clone(),
            group.method.id.to_owned(),
            joined(group.steps.iter().map(usize::to_string)),
            joined(group.blocks.iter().map(own)),
            group.law.words().to_owned(),
            bytes(|run| Some(run.in_laws)),
            bytes(|run| run.pool),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" ")
}

/// `11176906` as `11,176,906`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same of a difference.
pub(super) fn signed(bytes: i64) -> String {
    let size = grouped(bytes.unsigned_abs());
    if bytes < 0 { format!("-{size}") } else { size }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1234), "1,234");
        assert_eq!(grouped(11_176_906), "11,176,906");
    }
}
