//! Dead paths in the documents: whatever looks like a path of the repository must be one.

use std::collections::BTreeSet;

use crate::source::SourceFile;

/// File endings that make a bare word (`domain.rs`) a path.
const ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".sql", ".proto"];

/// Starts of what has a slash and is no path: media types, and folders that a run makes.
const NO_PATHS: [&str; 6] = ["application/", "text/", "image/", "target/", "orderly-data/", "and/"];

/// The paths in back-ticks and in links that lead nowhere. A path in back-ticks may leave out its
/// beginning (`src/domain.rs` of some service) and have a `*` for any part; a link is followed
/// from the document's folder.
pub(crate) fn dead_paths(document: &SourceFile, paths: &BTreeSet<String>) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut fenced = false;
    for (index, line) in document.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2).filter(|word| looks_like_a_path(word));
        let dead_quotes = quoted.filter(|word| !paths.iter().any(|path| names(word, path)));
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let dead_links = links.filter(|link| is_local(link) && !leads_somewhere(&document.path, link, paths));
        let dead = dead_quotes.chain(dead_links);
        breaches.extend(dead.map(|word| format!("{}:{}: no such path: {word}", document.path, index + 1)));
    }
    breaches
}

fn looks_like_a_path(word: &str) -> bool {
    let path_characters = |c: char| c.is_ascii_alphanumeric() || "/._-*".contains(c);
    let shape = word.contains('/') || ENDINGS.iter().any(|end| word.ends_with(end) && word.len() > end.len());
    let elsewhere = ["/", ".", "*"].iter().any(|start| word.starts_with(start) && !word.starts_with(".ci"))
        || NO_PATHS.iter().any(|start| word.starts_with(start));
    shape && !elsewhere && word.chars().all(path_characters)
}

/// Whether `path` is the one that the document means by `word`.
fn names(word: &str, path: &str) -> bool {
    let wanted: Vec<&str> = word.trim_end_matches('/').split('/').collect();
    let parts: Vec<&str> = path.split('/').collect();
    let Some(skipped) = parts.len().checked_sub(wanted.len()) else {
        return false;
    };
    wanted.iter().zip(&parts[skipped..]).all(|(wanted, part)| match wanted.split_once('*') {
        Some((start, end)) => part.starts_with(start) && part.ends_with(end),
        None => wanted == part,
    })
}

fn is_local(link: &str) -> bool {
    !link.contains("://") && !link.starts_with('#') && !link.starts_with("mailto:") && !link.contains(' ')
}

fn leads_somewhere(document: &str, link: &str, paths: &BTreeSet<String>) -> bool {
    let target = link.split('#').next().unwrap_or_default().trim_end_matches('/');
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            part => parts.push(part),
        }
    }
    parts.is_empty() || paths.contains(&parts.join("/"))
}

#[test]
fn a_path_that_does_not_exist_is_a_breach() {
    let paths = ["src/main.rs", "services/order/src/domain.rs", "docs/outbox.md", "docs", "test"];
    let paths = paths.map(str::to_owned).into();
    let dead = |text: &str| dead_paths(&SourceFile::example("docs/saga.md", text), &paths).len();
    for bad in ["`src/mian.rs`", "`nowhere.rs`", "`services/*/store.rs`", "[a](inbox.md)", "[a](src/main.rs)"] {
        assert_eq!(dead(bad), 1, "{bad}");
    }
    for good in [
        "`src/main.rs`, `domain.rs` and `services/*/src/domain.rs`",
        "[a](outbox.md#relay), [b](../src/main.rs), [c](https://example.com/a.rs), [d](#here), [e](../docs/)",
        "`/graphql`, `./test`, `text/html`, `cargo run a/b`, `http://127.0.0.1/a`, `.rs`",
        "```\nsrc/mian.rs `a/b`\n```",
    ] {
        assert_eq!(dead(good), 0, "{good}");
    }
}
