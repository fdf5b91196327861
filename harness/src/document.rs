//! TOML documents whose errors say file, line, and what the writer may have meant.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::suggest::Unknown;

/// A text with the name that messages give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// A path, or `suites/smoke.toml (built in)`.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
}

impl Document {
    /// Reads the document as a `T`; unknown keys and choices come with a suggestion.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let place = self.place(error.span().map_or(0, |span| span.start));
            match unknown_name(error.message()) {
                Some(unknown) => Error::Unknown { place, unknown },
                None => Error::Document { place, message: in_words(error.message()) },
            }
        })
    }

    /// Whether it has a key at its top level; a text that is no TOML has none.
    pub(crate) fn has(&self, key: &str) -> bool {
        toml::from_str::<toml::Table>(&self.text).is_ok_and(|table| table.contains_key(key))
    }

    /// File and line of a byte.
    pub(crate) fn place(&self, offset: usize) -> String {
        let before = self.text.as_bytes().iter().take(offset);
        format!("{}:{}", self.name, 1 + before.filter(|&&byte| byte == b'\n').count())
    }

    /// File and line of a name at or after a byte, quoted or in a table's heading; the line of that byte if the name
    /// is not there.
    pub(crate) fn place_of(&self, name: &str, from: usize) -> String {
        let rest = self.text.get(from..).unwrap_or_default();
        let forms = [format!("\"{name}\""), format!(".{name}]"), format!("\n{name} =")];
        // Trimmed, because the last form begins on the line before.
        let found =
            forms.iter().find_map(|form| Some(rest.find(form)? + form.len() - form.trim_start().len()));
        self.place(from + found.unwrap_or(0))
    }
}

/// A message without the names of Rust's types.
fn in_words(message: &str) -> String {
    let whole = ["usize", "u64", "u32"].map(|name| (name, "a whole number of at least 0"));
    let kinds = whole.into_iter().chain([("f64", "a number"), ("i64", "a whole number")]);
    kinds.fold(message.to_owned(), |message, (name, words)| {
        message.replace(&format!("expected {name}"), &format!("expected {words}"))
    })
}

/// serde names an unknown key or choice and the known ones between backticks, the unknown one first.
fn unknown_name(message: &str) -> Option<Unknown> {
    let kind = match message {
        m if m.starts_with("unknown field") => "key",
        m if m.starts_with("unknown variant") => "choice",
        _ => return None,
    };
    let mut quoted = message.split('`').skip(1).step_by(2);
    let name = quoted.next()?;
    Some(Unknown::new(kind, name, quoted))
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sheet {
        title: String,
        epochs: u32,
    }

    fn complaint(text: &str) -> String {
        let document = Document { name: "my.toml".into(), text: text.into() };
        document.parse::<Sheet>().unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_has_a_line_and_a_suggestion() {
        assert_eq!(
            complaint("title = \"x\"\nepochz = 3\n"),
            "my.toml:2: unknown key 'epochz'; did you mean 'epochs'? Known: title, epochs"
        );
    }

    #[test]
    fn other_mistakes_have_a_line() {
        assert!(complaint("title = \"x\"\nepochs = \"three\"\n").starts_with("my.toml:2: invalid type"));
        assert!(complaint("title = \"x\"\nepochs = -1\n").ends_with("expected a whole number of at least 0"));
        assert!(complaint("title = \"x\"\n").contains("missing field `epochs`"));
    }
}
