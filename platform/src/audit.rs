//! The auditor's vocabulary: rules, and what checking them found.
//!
//! A service checks the rules inside its own store, in one snapshot; the
//! composition root checks the rules across stores.

use std::borrow::Cow;

use serde::Serialize;

/// What checking one rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, as a sentence that should be true.
    pub rule: Cow<'static, str>,
    /// How many things were looked at.
    pub checked: i64,
    /// Where it is not true, each with what was found.
    pub breaches: Vec<String>,
}

/// One audit of the whole shop, as its background auditor leaves it for a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When it began, Unix milliseconds.
    pub at: i64,
    /// How long it took, milliseconds.
    pub took_ms: i64,
    /// One for each rule, breached or not; empty if the audit failed.
    pub findings: Vec<Finding>,
    /// For people, with nothing internal: why the rules could not be checked. `None` if they were.
    pub failure: Option<String>,
}
