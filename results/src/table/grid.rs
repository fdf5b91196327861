//! A table as plain data: tests compare it, one renderer a format turns it into text.

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Id, also the name of its files.
    pub id: String,
    /// Title.
    pub title: String,
    /// What the reader sees, in a sentence or two.
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, in groups with a heading each.
    pub groups: Vec<Group>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in a CSV file; it ends with the unit of the exact values.
    pub key: String,
    /// Heading; it ends with the unit of the displayed values.
    pub title: String,
    /// What the column means.
    pub about: String,
    /// Where its cells stand.
    pub align: Align,
    /// Which of its numbers is the best; `None` where none is better than another.
    pub better: Option<Preference>,
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Sentences, which a page breaks into lines.
    Prose,
    /// Numbers.
    Right,
}

/// Which of two numbers is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The larger.
    More,
    /// The smaller.
    Less,
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Heading.
    pub title: String,
    /// Rows; each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A word.
    Text(String),
    /// A number: as it is displayed, and exact.
    Number {
        /// For people.
        text: String,
        /// For programs, in the unit of the column's key.
        value: f64,
    },
    /// Not measured, with the reason.
    Missing(String),
}

impl Grid {
    /// The table without some columns, by their keys: a terminal is narrower than a page.
    #[must_use]
    pub fn without(mut self, keys: &[&str]) -> Grid {
        let kept: Vec<bool> =
            self.columns.iter().map(|column| !keys.contains(&column.key.as_str())).collect();
        let mut places = kept.iter();
        self.columns.retain(|_| places.next().is_none_or(|kept| *kept));
        for row in self.groups.iter_mut().flat_map(|group| &mut group.rows) {
            let mut places = kept.iter();
            row.retain(|_| places.next().is_none_or(|kept| *kept));
        }
        self
    }
}

impl Cell {
    /// A number if there is one, else the reason why not.
    pub fn number(value: Option<f64>, text: impl FnOnce(f64) -> String, reason: &str) -> Cell {
        match value {
            Some(value) => Cell::Number { text: text(value), value },
            None => Cell::Missing(reason.to_owned()),
        }
    }

    /// The exact number, where there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Cell::Number { value, .. } => Some(*value),
            Cell::Text(_) | Cell::Missing(_) => None,
        }
    }

    /// What people read; a dash where nothing was measured.
    pub fn display(&self) -> &str {
        match self {
            Cell::Text(text) | Cell::Number { text, .. } => text,
            Cell::Missing(_) => "–",
        }
    }
}

impl Column {
    /// A column of words.
    pub fn words(key: &str, title: &str, about: &str) -> Column {
        let (key, title, about) = (key.to_owned(), title.to_owned(), about.to_owned());
        Column { key, title, about, align: Align::Left, better: None }
    }

    /// A column of sentences.
    pub fn prose(key: &str, title: &str, about: &str) -> Column {
        Column { align: Align::Prose, ..Column::words(key, title, about) }
    }

    /// A column of numbers.
    pub fn numbers(key: &str, title: &str, about: &str) -> Column {
        Column { align: Align::Right, ..Column::words(key, title, about) }
    }

    /// The same column, of whose numbers the largest is the best.
    #[must_use]
    pub fn more_is_better(self) -> Column {
        Column { better: Some(Preference::More), ..self }
    }

    /// The same column, of whose numbers the smallest is the best.
    #[must_use]
    pub fn less_is_better(self) -> Column {
        Column { better: Some(Preference::Less), ..self }
    }
}
