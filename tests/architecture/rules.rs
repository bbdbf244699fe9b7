//! The checkers of single files: each takes a file and returns its breaches, each with its place.

use crate::source::{SourceFile, without_comments};

/// A longer file holds two things.
const LONGEST: usize = 400;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "core", "manager", "base"];

/// What the platform must not know.
const BUSINESS: [&str; 5] = ["order", "payment", "inventory", "stock", "customer"];

/// The word as SQL and English use it, of which the platform is full.
const SEQUENCE: [&str; 3] = ["order by", "out of order", "in order"];

/// The one word of the contract's that the platform's table of errors must spell.
const FIXED_BY_CONTRACT: &str = "\"OUT_OF_STOCK\"";

/// I/O, time, randomness and the wire: none of them is the domain's.
const IMPURE: [&str; 10] =
    ["async ", ".await", "sqlx", "tokio", "SystemTime", "Instant", "Utc::now", "rand::", "contracts::", "Uuid::now"];

/// `//!` is the first thing in the file.
pub(crate) fn missing_header(file: &SourceFile) -> Option<String> {
    (!file.text.starts_with("//! ")).then(|| format!("{}: does not open with //!", file.path))
}

/// No `mod.rs`, no empty name, at most [`LONGEST`] lines.
pub(crate) fn size_and_name(file: &SourceFile) -> Vec<String> {
    let mut breaches = Vec::new();
    let inside = file.path.rsplit("src/").next().unwrap_or_default();
    for name in inside.trim_end_matches(".rs").split('/') {
        if name == "mod" {
            breaches.push(format!("{}: foo.rs beside foo/, not foo/mod.rs", file.path));
        }
        let singular = |name: &str| name.trim_end_matches('s').to_owned();
        if EMPTY_NAMES.iter().any(|empty| singular(empty) == singular(name)) {
            breaches.push(format!("{}: \"{name}\" does not tell what it holds", file.path));
        }
    }
    let lines = file.text.lines().count();
    if lines > LONGEST {
        breaches.push(format!("{}: {lines} lines, at most {LONGEST}", file.path));
    }
    breaches
}

/// `[lints] workspace = true`.
pub(crate) fn uninherited_lints(manifest: &SourceFile) -> Option<String> {
    let mut lines = manifest.text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let inherits = lines.find(|line| !line.is_empty()) == Some("workspace = true");
    (!inherits).then(|| format!("{}: has no [lints] with workspace = true", manifest.path))
}

/// Business words in the code of the platform, also inside names (`order_id`, `OrderPlaced`).
/// Comments may explain by example, and so may the tests at the end of a file.
pub(crate) fn business_words(file: &SourceFile) -> Vec<String> {
    let production = file.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = without_comments(production).replace(FIXED_BY_CONTRACT, "");
    let lines = code.lines().map(without_sequence).enumerate();
    lines
        .flat_map(|(index, line)| {
            let words = words(&line).into_iter();
            let known = words.filter(|word| BUSINESS.contains(&word.trim_end_matches('s')));
            let told = known.map(|word| format!("{}:{}: knows \"{word}\"", file.path, index + 1));
            told.collect::<Vec<_>>()
        })
        .collect()
}

/// Blanks [`SEQUENCE`] out; a loop over `in order` is about a thing, not about a sequence.
fn without_sequence(line: &str) -> String {
    let mut line = line.to_owned();
    for phrase in SEQUENCE {
        while let Some(at) = line.to_ascii_lowercase().find(phrase)
            && !line.trim_start().starts_with("for ")
        {
            line.replace_range(at..at + phrase.len(), &" ".repeat(phrase.len()));
        }
    }
    line
}

/// The words of a line in lower case: `order_id`, `OrderId` and `ORDER_ID` are "order" and "id".
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let new_word = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before.is_ascii_lowercase());
        if new_word {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            words.last_mut().expect("never empty").push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words
}

/// What [`IMPURE`] lists, in the code of a domain file, its tests included.
pub(crate) fn impurities(file: &SourceFile) -> Vec<String> {
    let code = without_comments(&file.text);
    let lines = code.lines().enumerate();
    lines
        .flat_map(|(index, line)| {
            let found = IMPURE.iter().filter(move |word| line.contains(*word));
            found.map(move |word| format!("{}:{}: `{}` is not the domain's", file.path, index + 1, word.trim()))
        })
        .collect()
}

/// Marks of unfinished work, and the promise that no messaging can keep. The words are put together
/// here, or this file would be a breach.
pub(crate) fn unfinished_or_impossible(file: &SourceFile) -> Vec<String> {
    let marks =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["to", "do!("].concat(), ["unimple", "mented!("].concat()];
    let lines = file.text.lines().enumerate();
    let mut breaches: Vec<String> = lines
        .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str())))
        .map(|(index, line)| format!("{}:{}: unfinished: {}", file.path, index + 1, line.trim()))
        .collect();
    let promise = ["exactly", "once", "delivery"].join(" ");
    // As it is read: over the ends of lines, without the marks of comments.
    let no_marks = file.text.to_lowercase().replace(['/', '!', '-', '*', '#'], " ");
    if no_marks.split_whitespace().collect::<Vec<_>>().join(" ").contains(&promise) {
        breaches.push(format!("{}: promises {promise}", file.path));
    }
    breaches
}

#[test]
fn a_file_without_header_is_a_breach() {
    assert!(missing_header(&SourceFile::example("a.rs", "use std::fmt;\n")).is_some());
    assert!(missing_header(&SourceFile::example("a.rs", "//! What it is.\n")).is_none());
}

#[test]
fn a_long_file_and_an_empty_name_are_breaches() {
    let breaches = |path: &str, lines: usize| size_and_name(&SourceFile::example(path, &"\n".repeat(lines))).len();
    assert_eq!(breaches("src/relay.rs", 400), 0);
    assert_eq!(breaches("src/relay.rs", 401), 1);
    for path in ["src/bus/mod.rs", "src/utils.rs", "src/helper.rs", "src/core.rs", "src/base.rs", "src/util/files.rs"] {
        assert_eq!(breaches(path, 1), 1, "{path}");
    }
}

#[test]
fn a_manifest_that_does_not_inherit_the_lints_is_a_breach() {
    let manifest = |text| uninherited_lints(&SourceFile::example("Cargo.toml", text));
    assert!(manifest("[package]\nname = \"a\"\n").is_some());
    assert!(manifest("[lints]\n\n[lints.rust]\nunsafe_code = \"warn\"\n").is_some());
    assert!(manifest("[package]\n[lints]\nworkspace = true\n").is_none());
}

#[test]
fn a_business_word_in_the_platform_is_a_breach_and_an_order_by_is_not() {
    let breaches = |text| business_words(&SourceFile::example("platform/src/a.rs", text)).len();
    for bad in [
        "let order_id = 1;",
        "struct OrderPlaced;",
        "\"orderly.payment\"",
        "fn on_stock() {}",
        "CUSTOMER",
        "OUT_OF_STOCK",
        "for line in orders {",
    ] {
        assert_eq!(breaches(bad), 1, "{bad}");
    }
    let good = "// an order\n\"SELECT a FROM b ORDER BY c\" Ordering::Less reordered \"published in order\" stocky\n";
    assert_eq!(breaches(good), 0);
    assert_eq!(breaches("fn a() {}\n#[cfg(test)]\nmod tests { fn order() {} }"), 0);
}

#[test]
fn a_domain_that_waits_asks_the_time_or_knows_the_wire_is_a_breach() {
    let breaches = |text| impurities(&SourceFile::example("services/a/src/domain.rs", text)).len();
    for bad in ["pub async fn a() {}", "use tokio::sync;", "let now = SystemTime::now();", "use contracts::order;"] {
        assert_eq!(breaches(bad), 1, "{bad}");
    }
    assert_eq!(breaches("//! No tokio here.\npub fn decide(now: i64) {}"), 0);
}

#[test]
fn unfinished_work_and_the_impossible_promise_are_breaches() {
    let breaches = |text: &str| unfinished_or_impossible(&SourceFile::example("a.rs", text)).len();
    assert_eq!(breaches(&["// TO", "DO: later"].concat()), 1);
    assert_eq!(breaches(&["//! with Exactly-", "once\n//! delivery"].concat()), 1);
    assert_eq!(breaches("//! Delivery is at least once, the effect is once."), 0);
}
