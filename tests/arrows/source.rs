//! Rules on the source text: what may stand in which file.

use std::error::Error;
use std::path::Path;

use walkdir::WalkDir;

use crate::lexer::{Lexed, lex};

/// The one file that calls candle's autograd.
pub(crate) const BRIDGE: &str = "zoo/engine/src/bridge.rs";

/// Places with `unsafe` code. The second is memory maps.
const UNSAFE: [&str; 2] = ["zoo/kernels/", "datasets/src/map.rs"];

const MOST_LINES: usize = 800;

/// A source file of the workspace.
pub(crate) struct File {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    lexed: Lexed,
}

impl File {
    fn new(path: String, text: String) -> Self {
        let lexed = lex(&text);
        Self { path, text, lexed }
    }

    /// Whether it is built for tests or benches only.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "benches")
    }

    /// The line on which the file's test module begins; such a module stands last.
    fn first_test_line(&self) -> usize {
        let opens_module = |line: &str| line.trim_start().starts_with("mod ") && line.ends_with('{');
        self.lines()
            .zip(self.lines().skip(1))
            .find(|((_, line), (_, next))| line.trim() == "#[cfg(test)]" && opens_module(next))
            .map_or(usize::MAX, |((number, _), _)| number)
    }

    /// Numbered lines of code, without comments and literals.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lexed.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The id of a method or a model, and the file that declares it.
pub(crate) struct Id {
    pub(crate) id: String,
    pub(crate) from: String,
}

/// Every Rust file under `root`, in the order of paths.
pub(crate) fn files(root: &Path) -> Result<Vec<File>, Box<dyn Error>> {
    let skipped = |name: &str| name == "target" || (name.starts_with('.') && name.len() > 1);
    let walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    for entry in
        walk.filter_entry(|entry| entry.depth() == 0 || !skipped(&entry.file_name().to_string_lossy()))
    {
        let entry = entry?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|ending| ending == "rs") {
            let path = entry.path().strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            files.push(File::new(path, std::fs::read_to_string(entry.path())?));
        }
    }
    Ok(files)
}

/// One line for each line with the keyword `unsafe` outside the places that may have it.
pub(crate) fn unsafe_outside_kernels(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !UNSAFE.iter().any(|place| file.path.starts_with(place))) {
        for (number, line) in file.lines() {
            if words(line).any(|word| word == "unsafe") {
                broken.push(format!(
                    "{}:{number}: `unsafe` stands outside {}; write a safe kernel there and call it",
                    file.path,
                    UNSAFE.join(" and ")
                ));
            }
        }
    }
    broken
}

/// One line for each call of candle's `backward` outside the bridge. The tape's own takes arguments.
pub(crate) fn backward_outside_the_bridge(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path != BRIDGE && !file.is_test()) {
        let end = file.first_test_line();
        for (number, line) in file.lines().take_while(|(number, _)| *number < end) {
            if line.contains(".backward()") || line.contains("Tensor::backward") {
                broken.push(format!(
                    "{}:{number}: candle's backward keeps every activation; give the op a backward of its own on our \
                     tape, or wrap the candle function with the op of {BRIDGE}",
                    file.path
                ));
            }
        }
    }
    broken
}

/// The ids that the tables of methods and models declare.
pub(crate) fn contestant_ids(files: &[File]) -> Vec<Id> {
    let tables = |path: &str| {
        (path.starts_with("methods/") && path.contains("/src/")) || path.starts_with("zoo/models/src/")
    };
    let mut ids = Vec::new();
    for file in files.iter().filter(|file| tables(&file.path)) {
        for (_, after) in
            file.text.match_indices("id: \"").map(|(at, found)| (at, &file.text[at + found.len()..]))
        {
            if let Some((id, _)) = after.split_once('"') {
                ids.push(Id { id: id.to_string(), from: file.path.clone() });
            }
        }
    }
    ids
}

/// One line for each method or model that the harness knows by name. A line that includes a file is exempt: the
/// recipes that ship may share their names with the models they are for.
pub(crate) fn contestants_named_in_the_harness(files: &[File], ids: &[Id]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("harness/src/")) {
        let end = file.first_test_line();
        for literal in file.lexed.literals.iter().filter(|literal| literal.line < end) {
            let line = file.text.lines().nth(literal.line - 1).unwrap_or_default();
            if line.contains("include_str!") {
                continue;
            }
            if let Some(named) = ids.iter().find(|named| named.id == literal.text) {
                broken.push(format!(
                    "{}:{}: the harness names `{}` of {}; walk the table and ask the method or the model through its \
                     trait, or move the choice to a suite or a recipe",
                    file.path, literal.line, named.id, named.from
                ));
            }
        }
    }
    broken
}

/// One line for each source file that is too long.
pub(crate) fn long_files(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.split('/').any(|part| part == "src"))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| {
            format!(
                "{}: {lines} lines, and {MOST_LINES} are the most; a file holds one idea, so split it by its ideas",
                file.path
            )
        })
        .collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File::new(path.to_string(), text.to_string())
    }

    #[test]
    fn unsafe_is_found_where_it_may_not_be() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        for path in
            ["zoo/engine/src/a.rs", "datasets/src/a.rs", "tests/memory/main.rs", "zoo/kernels2/src/a.rs"]
        {
            let broken = unsafe_outside_kernels(&[file(path, block)]);
            assert_eq!(broken.len(), 1, "{path}");
            assert!(broken[0].starts_with(&format!("{path}:2: ")), "{}", broken[0]);
        }
    }

    #[test]
    fn unsafe_may_stand_in_kernels_and_maps_and_be_spoken_of_anywhere() {
        let block = "unsafe fn f() {}\n";
        assert!(
            unsafe_outside_kernels(&[
                file("zoo/kernels/src/a.rs", block),
                file("datasets/src/map.rs", block)
            ])
            .is_empty()
        );
        let talk = "#![forbid(unsafe_code)]\n//! No unsafe here.\nconst A: &str = \"unsafe\";\n";
        assert!(unsafe_outside_kernels(&[file("zoo/engine/src/lib.rs", talk)]).is_empty());
    }

    #[test]
    fn candles_backward_is_found_outside_the_bridge() {
        for call in ["loss.backward()?;", "Tensor::backward(&loss)?;"] {
            assert_eq!(
                backward_outside_the_bridge(&[file("methods/online/src/trainer.rs", call)]).len(),
                1,
                "{call}"
            );
        }
    }

    #[test]
    fn an_import_for_tests_hides_nothing_below_it() {
        let text = "#[cfg(test)]\nuse a::b;\nfn f() { loss.backward(); }\n";
        assert_eq!(backward_outside_the_bridge(&[file("methods/ann/src/a.rs", text)]).len(), 1);
    }

    #[test]
    fn the_bridge_the_tape_tests_and_comments_may_have_a_backward() {
        let call = "loss.backward()?;\n";
        let in_module = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n    {call}}}\n");
        let allowed = [
            file(BRIDGE, call),
            file("zoo/engine/benches/a.rs", call),
            file("tests/parity/main.rs", call),
            file("zoo/engine/src/a.rs", &in_module),
            file("zoo/engine/src/b.rs", "tape.backward(&pass, port, seeds)?; // not loss.backward()\n"),
        ];
        assert!(backward_outside_the_bridge(&allowed).is_empty());
    }

    #[test]
    fn a_contestant_named_in_the_harness_is_found() {
        let mut files = vec![
            file("methods/online/src/lib.rs", "MethodEntry { id: \"sltt\", summary: \"\" }"),
            file("zoo/models/src/tiny.rs", "ModelEntry { id: \"tiny-conv\", summary: \"\" }"),
        ];
        let ids = contestant_ids(&files);
        assert_eq!(ids.iter().map(|id| id.id.as_str()).collect::<Vec<_>>(), ["sltt", "tiny-conv"]);
        files.push(file(
            "harness/src/plan.rs",
            "// \"sltt\"\nif method == \"sltt\" || model == \"tiny-conv\" {}\n",
        ));
        let broken = contestants_named_in_the_harness(&files, &ids);
        assert_eq!(broken.len(), 2);
        assert!(broken[0].starts_with("harness/src/plan.rs:2: "), "{}", broken[0]);
    }

    #[test]
    fn other_words_tests_and_shipped_files_name_no_contestant() {
        let ids = [Id { id: "tiny-conv".to_string(), from: String::new() }];
        let allowed = [
            file(
                "harness/src/a.rs",
                "f(\"tiny-conv-ann\");\n#[cfg(test)]\nmod tests {\nf(\"tiny-conv\"); }\n",
            ),
            file(
                "harness/src/b.rs",
                "A { id: \"tiny-conv\", text: include_str!(\"../recipes/tiny-conv.toml\") }\n",
            ),
            file("results/src/a.rs", "f(\"tiny-conv\");\n"),
        ];
        assert!(contestants_named_in_the_harness(&allowed, &ids).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        let lines = |count: usize| "\n".repeat(count);
        assert_eq!(long_files(&[file("zoo/engine/src/a.rs", &lines(801))]).len(), 1);
        assert!(
            long_files(&[file("zoo/engine/src/a.rs", &lines(800)), file("tests/a/main.rs", &lines(801))])
                .is_empty()
        );
    }
}
