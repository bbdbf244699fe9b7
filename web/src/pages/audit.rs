//! For operators: the last audit of the shop's promises against its stores.
//!
//! The audit runs in the background of the shop; the page only reads its last report.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use platform::audit::{Finding, Report};
use platform::money;

use super::for_operators;
use crate::Shop;
use crate::error::PageError;
use crate::form::Query;
use crate::layout::{Shell, page};
use crate::session::Visitor;
use crate::when;

/// Breaches of one rule that are told one by one; `orderly audit` has them all.
const TOLD: usize = 20;

/// A report for people.
struct ReportView {
    at: String,
    at_machine: String,
    took: String,
    rules: Vec<RuleView>,
    /// Rules that are not true somewhere.
    broken: usize,
    breaches: usize,
    failure: Option<String>,
}

struct RuleView {
    rule: String,
    checked: String,
    count: usize,
    told: Vec<String>,
    /// Breaches beyond those told.
    more: usize,
}

impl From<&Finding> for RuleView {
    fn from(finding: &Finding) -> Self {
        let count = finding.breaches.len();
        Self {
            rule: finding.rule.to_string(),
            checked: money::count(finding.checked),
            count,
            told: finding.breaches.iter().take(TOLD).cloned().collect(),
            more: count.saturating_sub(TOLD),
        }
    }
}

impl From<&Report> for ReportView {
    fn from(report: &Report) -> Self {
        let at = when::from_millis(report.at);
        let rules: Vec<RuleView> = report.findings.iter().map(RuleView::from).collect();
        Self {
            at: when::moment(at),
            at_machine: when::machine(at),
            took: when::span(report.took_ms),
            broken: rules.iter().filter(|rule| rule.count > 0).count(),
            breaches: rules.iter().map(|rule| rule.count).sum(),
            rules,
            failure: report.failure.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    /// `None` until the first audit is done.
    report: Option<ReportView>,
    /// Whether the page keeps itself up to date.
    running: bool,
}

/// `GET /audit`: `?still=1` stands still.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    for_operators(&visitor)?;
    let report = shop.options.audit.borrow().as_ref().map(ReportView::from);
    let shown = AuditPage { shell: visitor.shell(), report, running: query.optional("still").is_none() };
    Ok(page(StatusCode::OK, &shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(findings: Vec<Finding>, failure: Option<String>) -> String {
        let report = Report { at: 1_795_234_449_120, took_ms: 1_250, findings, failure };
        let shell = Shell::new(None, true, 0, "token".into());
        let page = AuditPage { shell, report: Some(ReportView::from(&report)), running: true };
        page.render().expect("draws")
    }

    #[test]
    fn a_rule_with_many_breaches_tells_some_of_them_and_how_many_more_there_are() {
        let breaches: Vec<String> = (0..25).map(|n| format!("<b>order {n}</b>")).collect();
        let html = drawn(vec![Finding { rule: "orders are <right>".into(), checked: 30, breaches }], None);
        assert!(html.contains("order 19") && !html.contains("order 20") && html.contains("5 more"));
        assert!(!html.contains("<b>order") && !html.contains("<right>"));
        assert!(html.contains("25 breaches of 1 rule"));
    }

    #[test]
    fn a_green_audit_says_so_and_a_failed_one_does_not() {
        let green = Finding { rule: "all is well".into(), checked: 3, breaches: Vec::new() };
        assert!(drawn(vec![green], None).contains("Every promise is kept"));
        let failed = drawn(Vec::new(), Some("a store could not be read".to_owned()));
        assert!(failed.contains("a store could not be read") && !failed.contains("Every promise is kept"));
    }
}
