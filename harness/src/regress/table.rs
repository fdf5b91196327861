//! What was measured, as a short table.

use super::Found;

/// One line a group: where, which law, and the bytes of the laws along T or blocks.
pub(crate) fn table(found: &[Found<'_>]) -> String {
    let mut lines = vec![[
        "network".to_owned(),
        "method".to_owned(),
        "T".to_owned(),
        "blocks".to_owned(),
        "law".to_owned(),
        "bytes of the laws".to_owned(),
    ]];
    for found in found {
        let group = found.group;
        let own = |blocks: &Option<usize>| blocks.map_or("own".to_owned(), |blocks| blocks.to_string());
        let bytes = found.cells.iter().map(|cell| match &cell.runs {
            Ok(runs) => runs.first().map_or("-".to_owned(), |(_, run)| grouped(run.in_laws as u64)),
            Err(_) => "-".to_owned(),
        });
        lines.push([
            group.network.clone(),
            group.method.id.to_owned(),
            joined(group.steps.iter().map(usize::to_string)),
            joined(group.blocks.iter().map(own)),
            group.law.words().to_owned(),
            joined(bytes),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
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
