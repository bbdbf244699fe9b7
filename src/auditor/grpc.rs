//! The auditor over gRPC: its last report, told and asked for.

use std::time::Duration;

use contracts::audit::auditor_client::AuditorClient;
use contracts::audit::auditor_server::{Auditor, AuditorServer};
use contracts::audit::{Finding as WireFinding, GetReportRequest, Report as WireReport};
use platform::audit::{Finding, Report};
use platform::clock::{Clock, Millis};
use platform::grpc::{Connection, Identity};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request, Response, Status};

/// Between two questions for the last report.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Where the reports are told; for operators.
pub(crate) struct Desk {
    reports: watch::Receiver<Option<Report>>,
}

/// The generated server over an auditor's reports.
pub(crate) fn server(reports: watch::Receiver<Option<Report>>) -> AuditorServer<Desk> {
    AuditorServer::new(Desk { reports })
}

#[tonic::async_trait]
impl Auditor for Desk {
    async fn get_report(&self, request: Request<GetReportRequest>) -> Result<Response<WireReport>, Status> {
        Identity::of(&request)?.require_operator()?;
        let report = self.reports.borrow().clone();
        let report = report.ok_or_else(|| Status::not_found("the first audit is under way"))?;
        Ok(Response::new(to_wire(report)))
    }
}

/// The reports of an auditor that runs elsewhere, asked for as long as this lives.
pub(crate) struct Reports {
    reports: watch::Receiver<Option<Report>>,
    _asking: AbortOnDropHandle<()>,
}

impl Reports {
    /// Begins to ask.
    pub(crate) fn of(auditor: Connection, clock: Clock) -> Self {
        let (told, reports) = watch::channel(None);
        let mut auditor = AuditorClient::new(auditor);
        let asking = tokio::spawn(async move {
            let identity = Identity { account: "gateway".to_owned(), operator: true };
            loop {
                let answer = match identity.request(GetReportRequest {}) {
                    Ok(request) => auditor.get_report(request).await,
                    Err(status) => Err(status),
                };
                match answer {
                    Ok(report) => {
                        told.send_replace(Some(of_wire(report.into_inner())));
                    }
                    Err(status) if status.code() == Code::NotFound => {}
                    Err(status) => {
                        tracing::debug!(%status, "the auditor does not answer");
                        told.send_if_modified(|last| no_answer(last, clock.now()));
                    }
                }
                sleep(ASK_EVERY).await;
            }
        });
        Self { reports, _asking: AbortOnDropHandle::new(asking) }
    }

    /// The last report; `None` until there is one.
    pub(crate) fn last(&self) -> watch::Receiver<Option<Report>> {
        self.reports.clone()
    }
}

/// A report that there is stays, with its time, for who looks at it; where there is none
/// yet, that is told.
fn no_answer(last: &mut Option<Report>, at: Millis) -> bool {
    let first = last.is_none();
    if first {
        let failure = Some("the auditor does not answer".to_owned());
        *last = Some(Report { at, took_ms: 0, findings: Vec::new(), failure });
    }
    first
}

fn to_wire(report: Report) -> WireReport {
    let Report { at, took_ms, findings, failure } = report;
    let finding = |Finding { rule, checked, breaches }| WireFinding { rule: rule.into(), checked, breaches };
    let findings = findings.into_iter().map(finding).collect();
    WireReport { at, took_ms, findings, failure: failure.unwrap_or_default() }
}

fn of_wire(report: WireReport) -> Report {
    let WireReport { at, took_ms, findings, failure } = report;
    let finding = |WireFinding { rule, checked, breaches }| Finding { rule: rule.into(), checked, breaches };
    let findings = findings.into_iter().map(finding).collect();
    Report { at, took_ms, findings, failure: (!failure.is_empty()).then_some(failure) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platform::grpc::in_process;

    use super::*;

    #[tokio::test]
    async fn a_report_comes_over_as_it_was_and_for_operators_only() {
        let finding = Finding { rule: "all is well".into(), checked: 3, breaches: vec!["a: not".to_owned()] };
        let report = Report { at: 7, took_ms: 9, findings: vec![finding], failure: None };
        let (told, reports) = watch::channel(None);
        let connection = in_process(server(reports));
        let mut client = AuditorClient::new(connection.clone());
        let ada = Identity { account: "ada".to_owned(), operator: false };
        let refused = client.get_report(ada.request(GetReportRequest {}).unwrap()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let operator = Identity { operator: true, ..ada };
        let early = client.get_report(operator.request(GetReportRequest {}).unwrap()).await.unwrap_err();
        assert_eq!(early.code(), Code::NotFound);

        told.send_replace(Some(report.clone()));
        let asked = Reports::of(connection, Clock::system());
        let mut last = asked.last();
        assert_eq!(last.wait_for(Option::is_some).await.unwrap().clone(), Some(report));
    }

    #[test]
    fn an_auditor_that_does_not_answer_is_told_unless_there_is_a_report() {
        let mut last = None;
        assert!(no_answer(&mut last, 5));
        assert!(last.as_ref().unwrap().failure.as_deref().unwrap().contains("does not answer"));
        let before = last.clone();
        assert!(!no_answer(&mut last, 6));
        assert_eq!(last, before);
    }
}
