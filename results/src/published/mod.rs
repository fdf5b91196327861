//! What papers report, read from `results/published`: one file a paper, and the only home of published numbers.

mod complexity;
mod figure;
mod sheet;

pub(crate) use complexity::{Complexity, Growth};
pub(crate) use figure::{Bound, Figure, Quantity, Tag};
pub(crate) use sheet::{PaperRow, PaperTable, PaperValue, Precision, Ratio, Sheet, Side};

use crate::error::Error;

/// A paper whose values are on file.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// Id: its file's name without the ending.
    pub id: &'static str,
    text: &'static str,
}

/// Every paper, in the order of lists.
pub static PAPERS: &[Paper] = &[
    Paper { id: "ottt", text: include_str!("../../published/ottt.toml") },
    Paper { id: "revsnn", text: include_str!("../../published/revsnn.toml") },
    Paper { id: "sltt", text: include_str!("../../published/sltt.toml") },
    Paper { id: "trevsnn", text: include_str!("../../published/trevsnn.toml") },
];

impl Paper {
    /// A paper by id.
    ///
    /// # Errors
    /// Where there is none, with those that there are.
    pub fn find(id: &str) -> Result<&'static Paper, Error> {
        PAPERS.iter().find(|paper| paper.id == id).ok_or_else(|| Error::Paper {
            id: id.to_owned(),
            known: PAPERS.iter().map(|paper| paper.id).collect::<Vec<_>>().join(", "),
        })
    }

    /// Its values.
    pub(crate) fn sheet(&self) -> Result<Sheet, Error> {
        Sheet::parse(&format!("results/published/{}.toml", self.id), self.text)
    }

    /// Short name and where it can be read.
    pub(crate) fn name(&self) -> Result<String, Error> {
        Ok(self.sheet()?.paper)
    }

    /// The classes that it claims.
    pub(crate) fn claims(&self) -> Result<Vec<Complexity>, Error> {
        Ok(self.sheet()?.complexity)
    }
}

/// Every ratio of training times with its paper, in the order of the files.
pub(crate) fn times() -> Vec<(String, Ratio)> {
    // A test reads every file, so that none is left out here.
    let sheets = PAPERS.iter().filter_map(|paper| paper.sheet().ok());
    sheets.flat_map(|sheet| sheet.time.into_iter().map(move |time| (sheet.paper.clone(), time))).collect()
}

#[cfg(test)]
mod tests {
    use super::{PAPERS, Sheet, times};
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_read_and_no_ratio_has_the_id_of_another_papers() {
        let mut count = 0;
        for paper in PAPERS {
            let sheet = paper.sheet().unwrap();
            assert!(!sheet.table.is_empty(), "{}", paper.id);
            count += sheet.time.len();
        }
        let ids: BTreeSet<String> = times().into_iter().map(|(_, time)| time.id).collect();
        assert_eq!(ids.len(), count);
    }

    const SHEET: &str = r#"
paper = "P"
suite = "s"
[[table]]
id = "t"
title = "T"
about = "A."
[[table.row]]
id = "r"
name = "R"
method = "m"
model = "n"
steps-t = 4
dataset = "d"
image = "3x8x8"
classes = 10
value = [{ quantity = "top1-percent", value = "73.20", tag = "log", source = "here" }]
[[memory]]
id = "q"
table = "t"
of = { method = "m", model = "n" }
to = { method = "m", model = "o" }
ratio = "8.6"
steps-t = 4
image = "3x8x8"
tag = "abstract"
source = "there"
differs = "all"
"#;

    #[test]
    fn digits_are_kept_and_say_how_far_a_number_was_rounded() {
        let sheet = Sheet::parse("p.toml", SHEET).unwrap();
        let value = &sheet.table[0].row[0].value[0].value;
        assert_eq!((value.text.as_str(), value.decimals), ("73.20", 2));
        assert!((value.rounding() - 0.005).abs() < 1e-12);
    }

    #[test]
    fn a_broken_file_is_refused_with_file_entry_and_rule() {
        for (from, to, said) in [
            ("title = \"T\"", "titel = \"T\"", "p.toml, line 6: unknown field `titel`"),
            ("value = \"73.20\"", "value = 73.2", "p.toml, line 17: invalid type: floating point `73.2`"),
            ("\"73.20\"", "\"73,20\"", "must be digits in quotes, such as \"85.70\", got \"73,20\""),
            ("\"73.20\"", "\"732\"", "p.toml, t/r/top-1, %: an accuracy must be at most 100 %, got 732"),
            ("\"73.20\"", "\"0.0\"", "a published number must be above 0"),
            ("tag = \"log\"", "tag = \"memory\"", "p.toml, line 17: unknown variant `memory`"),
            ("source = \"here\"", "source = \" \"", "`source` must say where it stands"),
            (
                "image = \"3x8x8\"\nclasses",
                "image = \"8x8\"\nclasses",
                "p.toml, t/r: `image` must be a shape",
            ),
            ("model = \"n\"\nsteps", "steps", "a `method` must have a `model`"),
            ("classes = 10", "classes = 0", "must be at least 1"),
            ("table = \"t\"", "table = \"u\"", "p.toml, q: `table` must be the id of a table"),
            ("id = \"q\"", "id = \"t\"", "p.toml, t: an id may be given once"),
            ("\"there\"", "\"\"", "p.toml, q: `source` must"),
            (", model = \"o\" }", " }", "p.toml, q: `model` must stand in both sides, or in the ratio"),
        ] {
            let wrong = SHEET.replacen(from, to, 1);
            assert_ne!(wrong, SHEET, "{from}");
            let found = Sheet::parse("p.toml", &wrong).unwrap_err().to_string();
            assert!(found.contains(said), "{found}\nlacks\n{said}");
        }
    }
}
