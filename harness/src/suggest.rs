//! "Did you mean": a name that is not known, and the known one that looks most like it.

use std::fmt;

/// A name that nothing goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    kind: String,
    name: String,
    known: Vec<String>,
}

impl Unknown {
    /// A name that is not among `known`; `kind` says what it should name ("method").
    pub fn new<S: Into<String>>(kind: &str, name: &str, known: impl IntoIterator<Item = S>) -> Self {
        let known = known.into_iter().map(Into::into).collect();
        Self { kind: kind.to_owned(), name: name.to_owned(), known }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} '{}'", self.kind, self.name)?;
        if let Some(nearest) = nearest(&self.name, &self.known) {
            write!(f, "; did you mean '{nearest}'?")?;
        } else {
            f.write_str(".")?;
        }
        if self.known.is_empty() {
            f.write_str(" None is known")
        } else {
            write!(f, " Known: {}", self.known.join(", "))
        }
    }
}

impl std::error::Error for Unknown {}

/// The known name with the fewest edits to `name`, if it is close enough to be a slip of the hand; else the first one
/// that begins with it.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let slips = (name.chars().count() / 3).max(2);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), candidate), candidate))
        // A name of two letters is two edits from any other: then half of it must agree.
        .filter(|&(edits, candidate)| edits <= slips && 2 * edits <= candidate.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate.as_str())
        .or_else(|| known.iter().map(String::as_str).find(|candidate| begins(candidate, name)))
}

/// Whether a name was left off after a few letters.
fn begins(candidate: &str, name: &str) -> bool {
    name.len() >= 3 && candidate.starts_with(&name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::Unknown;

    #[test]
    fn a_slip_is_suggested_and_all_names_are_listed() {
        let unknown = Unknown::new("method", "stpb", ["ann", "stbp", "sltt"]);
        assert_eq!(unknown.to_string(), "unknown method 'stpb'; did you mean 'stbp'? Known: ann, stbp, sltt");
    }

    #[test]
    fn the_beginning_of_a_name_suggests_it() {
        let unknown = Unknown::new("dataset", "fashion", ["cifar10", "fashion-mnist"]);
        assert!(unknown.to_string().contains("did you mean 'fashion-mnist'?"));
    }

    #[test]
    fn a_name_like_no_other_gets_no_suggestion() {
        let unknown = Unknown::new("model", "resnet", ["tiny-conv", "tiny-rev"]);
        assert_eq!(unknown.to_string(), "unknown model 'resnet'. Known: tiny-conv, tiny-rev");
        assert!(!Unknown::new("method", "x", ["ann"]).to_string().contains("did you mean"));
    }
}
