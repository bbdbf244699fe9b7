//! The repository as the rules see it: its files, which of them is what, and code without comments.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One text file, its path relative to the repository, with `/`.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// A file as an example for a checker.
    pub(crate) fn example(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// The folder with the workspace's `Cargo.toml`.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    /// Every file, relative.
    files: BTreeSet<String>,
}

/// Folders that are made by running something, at the root.
const MADE: [&str; 3] = ["target", "orderly-data", "node_modules"];

impl Repository {
    pub(crate) fn open() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeSet::new();
        collect(&root, &root, &mut files);
        Self { root, files }
    }

    /// Reads the files that `wanted` picks by their path.
    pub(crate) fn files(&self, wanted: impl Fn(&str) -> bool) -> Vec<SourceFile> {
        let wanted = self.files.iter().filter(|path| wanted(path));
        wanted
            .map(|path| SourceFile {
                path: path.clone(),
                text: std::fs::read_to_string(self.root.join(path)).expect("a text file in UTF-8"),
            })
            .collect()
    }

    /// Every file and every folder.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        let folders = self.files.iter().flat_map(|file| Path::new(file).ancestors().skip(1));
        let folders = folders.map(|folder| folder.display().to_string());
        self.files.iter().cloned().chain(folders).filter(|path| !path.is_empty()).collect()
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let relative = path.strip_prefix(root).expect("below the root").display().to_string();
        if relative == ".git" || MADE.contains(&relative.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(relative);
        }
    }
}

/// A Rust file in a `src` folder.
pub(crate) fn is_source(path: &str) -> bool {
    path.ends_with(".rs") && path.split('/').any(|part| part == "src")
}

/// A file that holds only the tests of its neighbour.
pub(crate) fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// `domain.rs`, `domain_….rs`, `domain/….rs` in the `src` of a service.
pub(crate) fn is_domain(path: &str) -> bool {
    let Some((_, inside)) = path.strip_prefix("services/").and_then(|rest| rest.split_once("/src/")) else {
        return false;
    };
    inside.starts_with("domain") && inside.ends_with(".rs")
}

/// README and the chapters.
pub(crate) fn is_document(path: &str) -> bool {
    path == "README.md" || path.starts_with("docs/") && path.ends_with(".md")
}

/// What people write and read.
pub(crate) fn is_text(path: &str) -> bool {
    let ends = [".rs", ".md", ".toml", ".sql", ".proto", ".html", ".css", ".js", ".sh", ".yml", ".graphql"];
    path == "test" || path == "Dockerfile" || ends.iter().any(|end| path.ends_with(end))
}

/// The code with its comments blanked out, line by line as it was; strings stay as they are.
pub(crate) fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (length, keep) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), false)
        } else {
            (string_length(rest).unwrap_or(next.len_utf8()), true)
        };
        let (part, after) = rest.split_at(length);
        if keep {
            code.push_str(part);
        } else {
            code.extend(part.chars().filter(|c| *c == '\n'));
        }
        rest = after;
    }
    code
}

/// The length of the string or character literal at the start of `code`, if one is there.
fn string_length(code: &str) -> Option<usize> {
    if let Some(raw) = code.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = 1 + hashes + 1;
            return Some(code[body..].find(&close).map_or(code.len(), |end| body + end + close.len()));
        }
    }
    // A quote as a character; `'a` without a closing quote is a lifetime.
    if let Some(quote) = ["'\"'", "'\\\"'"].iter().find(|quote| code.starts_with(**quote)) {
        return Some(quote.len());
    }
    if !code.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(code.len())
}

#[test]
fn comments_go_and_strings_stay() {
    let code = "let a = \"// kept\"; // gone\n/* gone\n*/ let b = r#\"a \" // kept\"#; let c = '\"'; // gone\n";
    let expected = "let a = \"// kept\"; \n\n let b = r#\"a \" // kept\"#; let c = '\"'; \n";
    assert_eq!(without_comments(code), expected);
}

#[test]
fn files_are_told_apart_by_their_path() {
    assert!(is_domain("services/order/src/domain.rs") && is_domain("services/order/src/domain/money.rs"));
    assert!(!is_domain("services/order/src/store.rs") && !is_domain("platform/src/domain.rs"));
    assert!(is_source("services/order/src/a/b.rs") && is_source("src/main.rs") && !is_source("tests/a.rs"));
}
