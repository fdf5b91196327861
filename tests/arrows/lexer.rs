//! As much of Rust's lexical structure as telling code from comments and literals takes.

/// A string literal and the line it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A file taken apart. Code keeps its line breaks, so that lines keep their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lexed {
    /// The text with comments and the insides of literals left out.
    pub(crate) code: String,
    /// Every string literal, in order.
    pub(crate) literals: Vec<Literal>,
}

/// Takes a source file apart.
pub(crate) fn lex(source: &str) -> Lexed {
    let mut lexed = Lexed::default();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let piece = next(rest, &lexed.code);
        let taken = &rest[..piece.length(first)];
        match piece {
            Piece::Code => lexed.code.push(first),
            Piece::Comment(_) | Piece::Character(_) => {
                lexed.code.push(' ');
                keep_line_breaks(taken, &mut lexed.code);
            }
            Piece::Text { open, close, .. } => {
                let text = &taken[open..taken.len().saturating_sub(close).max(open)];
                lexed.literals.push(Literal { text: text.to_string(), line });
                lexed.code.push_str("\"\"");
                keep_line_breaks(taken, &mut lexed.code);
            }
        }
        line += taken.matches('\n').count();
        rest = &rest[taken.len()..];
    }
    lexed
}

/// What the text begins with, and its length in bytes.
enum Piece {
    Code,
    Comment(usize),
    Character(usize),
    /// A string literal: its opening, its closing and all of it.
    Text {
        open: usize,
        close: usize,
        length: usize,
    },
}

impl Piece {
    fn length(&self, first: char) -> usize {
        match *self {
            Self::Code => first.len_utf8(),
            Self::Comment(length) | Self::Character(length) | Self::Text { length, .. } => length,
        }
    }
}

fn next(rest: &str, before: &str) -> Piece {
    if rest.starts_with("//") {
        return Piece::Comment(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Piece::Comment(block_comment(rest));
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Piece::Text { open: 1, close: 1, length: 1 + escaped(inside, '"') };
    }
    if rest.starts_with('\'') {
        return character(rest).map_or(Piece::Code, Piece::Character);
    }
    // A prefix letter (`r`, `br`, `cr`) opens a raw string only where no identifier goes on.
    let starts_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if starts_word && let Some(raw) = raw_text(rest) {
        return raw;
    }
    Piece::Code
}

/// Comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Bytes up to and with the closing mark.
fn escaped(inside: &str, close: char) -> usize {
    let mut characters = inside.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == close {
            return at + c.len_utf8();
        }
    }
    inside.len()
}

/// A character literal's length; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inside = &rest[1..];
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(1 + escaped(inside, '\''));
    }
    inside[first.len_utf8()..].starts_with('\'').then(|| 2 + first.len_utf8())
}

fn raw_text(rest: &str) -> Option<Piece> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].chars().take_while(|&c| c == '#').count();
    let open = prefix.len() + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    let length = rest[open..].find(&closing).map_or(rest.len(), |at| open + at + closing.len());
    Some(Piece::Text { open, close: closing.len(), length })
}

fn keep_line_breaks(taken: &str, code: &mut String) {
    code.extend(taken.chars().filter(|&c| c == '\n'));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        lex(source).literals.into_iter().map(|literal| literal.text).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = "a // hidden\nb /* hidden /* deeper */ hidden\n */ c \"hidden\" d r#\"hid\"den\"# e '\\'' f '\"' g";
        let code = lex(source).code;
        assert!(!code.contains("hid") && !code.contains("deeper"), "{code}");
        for letter in ["a", "b", "c", "d", "e", "f", "g"] {
            assert!(code.contains(letter), "{letter} in {code}");
        }
        assert_eq!(code.matches('\n').count(), source.matches('\n').count());
    }

    #[test]
    fn literals_are_found_with_their_lines() {
        let source =
            "f(\"one\");\n// \"no\"\nlet s: &'static str = r\"two\";\ng(br##\"th\"#ree\"##, \"f\\\"our\")";
        assert_eq!(texts(source), ["one", "two", "th\"#ree", "f\\\"our"]);
        assert_eq!(lex(source).literals.iter().map(|literal| literal.line).collect::<Vec<_>>(), [1, 3, 4, 4]);
    }

    #[test]
    fn lifetimes_open_no_literal() {
        assert_eq!(texts("fn f<'a>(x: &'a str) -> &'a str { g('x', \"text\") }"), ["text"]);
    }

    #[test]
    fn an_identifier_that_ends_in_r_opens_no_raw_text() {
        assert_eq!(texts("for\"text\""), ["text"]);
    }

    #[test]
    fn an_unclosed_end_is_taken_whole() {
        for source in ["\"open", "r#\"open", "/* open", "'", "'\\"] {
            lex(source);
        }
        assert_eq!(texts("\"\""), [""]);
    }
}
