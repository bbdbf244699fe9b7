//! The Ops server: checks who asks and what, and answers from an [`Inside`].

use contracts::ops::ops_server::Ops;
use contracts::ops::{
    DiscardReply, DiscardRequest, EditReply, EditRequest, Fault as WireFault, FaultKind, InboxLine, InspectRequest,
    Inspection, Lease, ListFaultsReply, ListInboxReply, ListLeasesReply, ListOutboxReply, ListParkedReply,
    ListParkedRequest, ListRequest, ListServicesReply, ListServicesRequest, ListTimersReply, OutboxMessage,
    ParkedMessage, RedriveReply, RedriveRequest, SetFaultRequest, StreamState, TailRequest, TailedMessage, Timer,
};
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::tail::{self, Streams};
use super::{Desk, Fault, Inside};
use crate::error::{Failure, Rejection, Unavailable};
use crate::grpc::Identity;
use crate::store::StoreError;
use crate::store::parked::Parked;
use crate::store::survey::{self, ParkedFilter};
use crate::text;

/// Rows of a list when nobody says how many.
const SOME: u32 = 50;
/// Most rows of a list.
const MOST: i32 = 500;
/// Most failures of one type that can be asked for.
const MOST_FAILURES: i64 = 1_000_000;
/// Longest name of a type, in characters.
const LONGEST_TYPE: usize = 200;
/// Longest source or subject, in bytes: no line has a longer one.
const LONGEST_KEY: usize = 1_000;

#[tonic::async_trait]
impl Ops for Desk {
    type TailStream = BoxStream<'static, Result<TailedMessage, Status>>;

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesReply>, Status> {
        operator(&request)?;
        let services = self.services.keys().map(|name| (*name).to_owned()).collect();
        Ok(Response::new(ListServicesReply { services }))
    }

    async fn inspect(&self, request: Request<InspectRequest>) -> Result<Response<Inspection>, Status> {
        operator(&request)?;
        let inside = self.service(&request.get_ref().service)?;
        let outbox = inside.outbox_counts().await.map_err(away)?;
        let parked = survey::parked_counts(&inside.db).await.map_err(away)?;
        let age = if outbox.unpublished == 0 { 0 } else { (inside.clock.now() - outbox.oldest).max(0) };
        Ok(Response::new(Inspection {
            service: inside.name().to_owned(),
            outbox_unpublished: outbox.unpublished,
            outbox_oldest_ms: age,
            outbox_unsettled: outbox.unsettled,
            inbox_lines: survey::inbox_count(&inside.db).await.map_err(away)?,
            parked_retrying: parked.retrying,
            parked_behind: parked.behind,
            dead_letters: parked.dead,
            timers: count(inside.timers().await.map_err(away)?.len()),
            streams: streams(inside).await?,
        }))
    }

    async fn list_outbox(&self, request: Request<ListRequest>) -> Result<Response<ListOutboxReply>, Status> {
        let (inside, first) = self.list(&request)?;
        let lines = inside.outbox(first).await.map_err(away)?;
        let messages = lines.into_iter().map(|line| OutboxMessage {
            id: line.id,
            stream: line.stream,
            source: line.source,
            subject: line.subject,
            sequence: line.sequence,
            r#type: line.kind,
            time: line.time,
            position: line.position,
        });
        Ok(Response::new(ListOutboxReply { messages: messages.collect() }))
    }

    async fn list_inbox(&self, request: Request<ListRequest>) -> Result<Response<ListInboxReply>, Status> {
        let (inside, first) = self.list(&request)?;
        let lines = survey::inbox(&inside.db, first).await.map_err(away)?;
        let lines = lines
            .into_iter()
            .map(|line| InboxLine { source: line.source, subject: line.subject, sequence: line.last })
            .collect();
        Ok(Response::new(ListInboxReply { lines }))
    }

    async fn list_parked(&self, request: Request<ListParkedRequest>) -> Result<Response<ListParkedReply>, Status> {
        operator(&request)?;
        let asked = request.get_ref();
        let inside = self.service(&asked.service)?;
        checked(key("source", &asked.source).and_then(|()| key("subject", &asked.subject)))?;
        let filter = ParkedFilter { dead_only: asked.dead_only, source: &asked.source, subject: &asked.subject };
        let (rows, total) = survey::parked(&inside.db, filter, rows(asked.first)?).await.map_err(away)?;
        let messages = rows.into_iter().map(parked_message).collect();
        Ok(Response::new(ListParkedReply { messages, total }))
    }

    async fn list_timers(&self, request: Request<ListRequest>) -> Result<Response<ListTimersReply>, Status> {
        let (inside, first) = self.list(&request)?;
        let timers = inside.timers().await.map_err(away)?.into_iter().take(first as usize);
        let timers = timers.map(|timer| Timer { subject: timer.subject, kind: timer.kind, due: timer.due }).collect();
        Ok(Response::new(ListTimersReply { timers }))
    }

    async fn list_leases(&self, request: Request<ListRequest>) -> Result<Response<ListLeasesReply>, Status> {
        let (inside, first) = self.list(&request)?;
        // Where nobody else can write, nobody can take over, and a lease does not lapse.
        let lapses = !inside.db.is_exclusive();
        let leases = survey::leases(&inside.db, first).await.map_err(away)?.into_iter().map(|lease| Lease {
            name: lease.name,
            holder: lease.holder,
            epoch: lease.epoch,
            expires_at: lapses.then_some(lease.expires_at),
        });
        Ok(Response::new(ListLeasesReply { leases: leases.collect() }))
    }

    async fn redrive(&self, request: Request<RedriveRequest>) -> Result<Response<RedriveReply>, Status> {
        let who = operator(&request)?;
        let RedriveRequest { service, source, subject, sequence } = request.into_inner();
        let inside = self.place(&service, &source, &subject)?;
        inside.redrive(&source, &subject, sequence).await?;
        done(&who, "redrive", inside, (&source, &subject, sequence));
        Ok(Response::new(RedriveReply {}))
    }

    async fn discard(&self, request: Request<DiscardRequest>) -> Result<Response<DiscardReply>, Status> {
        let who = operator(&request)?;
        let DiscardRequest { service, source, subject, sequence } = request.into_inner();
        let inside = self.place(&service, &source, &subject)?;
        inside.discard(&source, &subject, sequence).await?;
        done(&who, "discard", inside, (&source, &subject, sequence));
        Ok(Response::new(DiscardReply {}))
    }

    async fn edit(&self, request: Request<EditRequest>) -> Result<Response<EditReply>, Status> {
        let who = operator(&request)?;
        let EditRequest { service, source, subject, sequence, envelope } = request.into_inner();
        let inside = self.place(&service, &source, &subject)?;
        inside.edit(&source, &subject, sequence, envelope).await?;
        done(&who, "edit", inside, (&source, &subject, sequence));
        Ok(Response::new(EditReply {}))
    }

    async fn list_faults(&self, request: Request<ListRequest>) -> Result<Response<ListFaultsReply>, Status> {
        let (inside, _) = self.list(&request)?;
        Ok(Response::new(faults(inside)))
    }

    async fn set_fault(&self, request: Request<SetFaultRequest>) -> Result<Response<ListFaultsReply>, Status> {
        let who = operator(&request)?;
        let SetFaultRequest { service, fault, active } = request.into_inner();
        let inside = self.service(&service)?;
        let fault = checked(wanted(fault.unwrap_or_default(), active))?;
        if active {
            checked(inside.faults().set(&fault).map_err(|error| Rejection::conflict(error.to_string())))?;
        } else {
            inside.faults().clear(&fault);
        }
        tracing::warn!(service = inside.name(), ?fault, active, account = who.account, "fault injection");
        Ok(Response::new(faults(inside)))
    }

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        operator(&request)?;
        let streams = self.streams(request.into_inner().streams)?;
        let Some(inside) = self.services.values().next() else {
            return Err(Status::not_found("there is no service here"));
        };
        let messages = tail::begin(inside.bus.clone(), streams, self.stop.clone()).await;
        Ok(Response::new(messages.map_err(|error| Failure::from(Unavailable::new(error)))?))
    }
}

impl Desk {
    fn service(&self, name: &str) -> Result<&Inside, Status> {
        self.services.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.services.keys().copied().collect();
            Status::not_found(format!("no such service here; there are: {}", known.join(", ")))
        })
    }

    /// Who is asked for a list, and of how many rows.
    fn list(&self, request: &Request<ListRequest>) -> Result<(&Inside, u32), Status> {
        operator(request)?;
        let asked = request.get_ref();
        Ok((self.service(&asked.service)?, rows(asked.first)?))
    }

    /// Who is asked about a line, whose names can be looked for on either engine.
    fn place(&self, service: &str, source: &str, subject: &str) -> Result<&Inside, Status> {
        checked(key("source", source).and_then(|()| key("subject", subject)))?;
        self.service(service)
    }

    /// A wrong name would show nothing for ever; it is refused instead.
    fn streams(&self, names: Vec<String>) -> Result<Streams, Status> {
        if names.is_empty() {
            return Ok(Streams::OfEvents);
        }
        if names.iter().all(|name| self.streams.contains(&name.as_str())) {
            return Ok(Streams::Named(names.into_iter().collect()));
        }
        Err(Status::not_found(format!("no such stream here; there are: {}", self.streams.join(", "))))
    }
}

fn operator<T>(request: &Request<T>) -> Result<Identity, Status> {
    let who = Identity::of(request)?;
    who.require_operator()?;
    Ok(who)
}

/// Who did what, for the log: it changes what messages do, and no message tells of it.
fn done(who: &Identity, what: &str, inside: &Inside, (source, subject, sequence): (&str, &str, i64)) {
    let service = inside.name();
    tracing::warn!(service, source, subject, sequence, account = who.account, "an operator's {what}");
}

fn checked<T>(result: Result<T, Rejection>) -> Result<T, Status> {
    result.map_err(|rejection| Failure::from(rejection).into())
}

fn away(error: StoreError) -> Status {
    Failure::from(Unavailable::new(error)).into()
}

/// A source or a subject as a message may have it, strange ones too, for a strange one
/// is what an operator may have to do with. Only a NUL is in none of them.
fn key(field: &str, text: &str) -> Result<(), Rejection> {
    if text.len() > LONGEST_KEY || text.contains('\0') {
        return Err(Rejection::bad_input(format!("{field} must be at most {LONGEST_KEY} bytes without a NUL")));
    }
    Ok(())
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn rows(first: i32) -> Result<u32, Status> {
    match first {
        0 => Ok(SOME),
        1..=MOST => Ok(first.unsigned_abs()),
        _ => Err(Status::invalid_argument(format!("first must be 1 to {MOST}, or 0 for {SOME}"))),
    }
}

async fn streams(inside: &Inside) -> Result<Vec<StreamState>, Status> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let streams = inside.streams().await.map_err(Failure::from)?.into_iter();
    Ok(streams
        .map(|(stream, (length, lag, pending))| StreamState {
            stream,
            length: number(length),
            lag: number(lag),
            pending: number(pending),
        })
        .collect())
}

fn parked_message(row: Parked) -> ParkedMessage {
    ParkedMessage {
        source: row.source,
        subject: row.subject,
        sequence: row.sequence,
        stream: row.stream,
        envelope: row.envelope,
        state: row.state,
        attempts: row.attempts,
        errors: serde_json::from_str(&row.errors).unwrap_or_default(),
        next_due: row.next_due,
        parked_at: row.parked_at,
    }
}

fn wanted(fault: WireFault, active: bool) -> Result<Fault, Rejection> {
    Ok(match FaultKind::try_from(fault.kind).unwrap_or_default() {
        FaultKind::Unspecified => return Err(Rejection::bad_input("which fault?")),
        FaultKind::ReadingPaused => Fault::ReadingPaused,
        FaultKind::RelayPaused => Fault::RelayPaused,
        FaultKind::MessageFails => {
            text::line("type", &fault.r#type, LONGEST_TYPE)?;
            if active && !(1..=MOST_FAILURES).contains(&fault.times) {
                return Err(Rejection::bad_input(format!("times must be 1 to {MOST_FAILURES}")));
            }
            Fault::MessageFails { kind: fault.r#type, times: fault.times }
        }
    })
}

fn faults(inside: &Inside) -> ListFaultsReply {
    let wire = |kind: FaultKind, name: String, times| WireFault { kind: kind.into(), r#type: name, times };
    let faults = inside.faults().list().into_iter().map(|fault| match fault {
        Fault::ReadingPaused => wire(FaultKind::ReadingPaused, String::new(), 0),
        Fault::RelayPaused => wire(FaultKind::RelayPaused, String::new(), 0),
        Fault::MessageFails { kind, times } => wire(FaultKind::MessageFails, kind, times),
    });
    ListFaultsReply { faults: faults.collect() }
}
