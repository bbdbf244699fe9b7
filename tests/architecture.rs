//! The architecture, as tests: what the house rules say, a program checks.
//!
//! These are *fitness functions*: each rule is one test over the whole repository, which lists every
//! breach with its place. The checkers are pure functions over text, and each of them is shown a
//! small bad example first, since a check that cannot fail checks nothing.

#[path = "architecture/dependencies.rs"]
mod dependencies;
#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use source::Repository;

/// Fails with all breaches, one a line.
#[track_caller]
fn assert_none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn crates_depend_only_in_the_direction_of_the_rule() {
    assert_none(dependencies::breaches(&dependencies::of_the_workspace()));
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let repository = Repository::open();
    let manifests = repository.files(|path| path.ends_with("Cargo.toml"));
    assert!(manifests.len() >= 10, "the workspace has ten crates, found {}", manifests.len());
    assert_none(manifests.iter().flat_map(rules::uninherited_lints).collect());
}

#[test]
fn every_source_file_opens_with_what_it_is_for() {
    let files = Repository::open().files(|path| path.ends_with(".rs"));
    assert!(files.len() > 20, "found only {} files", files.len());
    assert_none(files.iter().flat_map(rules::missing_header).collect());
}

#[test]
fn source_files_are_short_and_named_after_what_they_hold() {
    let files = Repository::open().files(source::is_source);
    assert_none(files.iter().flat_map(rules::size_and_name).collect());
}

#[test]
fn the_platform_has_no_business_word() {
    let files = Repository::open().files(|path| path.starts_with("platform/src/") && !source::is_tests(path));
    assert!(!files.is_empty());
    assert_none(files.iter().flat_map(rules::business_words).collect());
}

#[test]
fn domain_code_is_pure() {
    let files = Repository::open().files(source::is_domain);
    assert!(!files.is_empty(), "no service has a domain");
    assert_none(files.iter().flat_map(rules::impurities).collect());
}

#[test]
fn nothing_is_left_to_do_and_nothing_impossible_is_promised() {
    let files = Repository::open().files(source::is_text);
    assert_none(files.iter().flat_map(rules::unfinished_or_impossible).collect());
}

#[test]
fn every_path_that_a_document_names_exists() {
    let repository = Repository::open();
    let documents = repository.files(source::is_document);
    let paths = repository.paths();
    assert_none(documents.iter().flat_map(|file| documents::dead_paths(file, &paths)).collect());
}
