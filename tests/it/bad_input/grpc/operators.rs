//! The Ops service: what only operators ask, and what even they may not.

use contracts::common::{Card, LineRequest};
use contracts::ops::{
    DiscardRequest, EditRequest, Fault, FaultKind, InspectRequest, ListParkedRequest, ListRequest, ListServicesRequest,
    ParkedMessage, RedriveRequest, SetFaultRequest, TailRequest,
};
use contracts::order::PlaceOrderRequest;
use platform::grpc::Identity;
use tonic::Code::{self, InvalidArgument, NotFound, Ok as Fine, PermissionDenied, Unauthenticated};

use super::{Desk, line};
use crate::bad_input::hostile::Hostile;
use crate::bad_input::{PATIENCE, PLENTY};
use crate::servers;

const NUMBERS: [i64; 5] = [i64::MIN, -1, 0, 1, i64::MAX];

fn list(service: &str, first: i32) -> ListRequest {
    ListRequest { service: service.into(), first }
}

fn fault(kind: i32, name: &str, times: i64) -> SetFaultRequest {
    let fault = Some(Fault { kind, r#type: name.into(), times });
    SetFaultRequest { service: "payment".into(), fault, active: true }
}

impl Desk {
    /// Asks every method that takes a service's name and a number of rows.
    async fn lists(&mut self, what: &str, wanted: Code, asked: ListRequest) {
        let answer = self.ops.list_outbox(self.ask(asked.clone())).await;
        self.judge(&format!("ListOutbox, {what}"), wanted, answer);
        let answer = self.ops.list_inbox(self.ask(asked.clone())).await;
        self.judge(&format!("ListInbox, {what}"), wanted, answer);
        let answer = self.ops.list_timers(self.ask(asked.clone())).await;
        self.judge(&format!("ListTimers, {what}"), wanted, answer);
        let answer = self.ops.list_leases(self.ask(asked.clone())).await;
        self.judge(&format!("ListLeases, {what}"), wanted, answer);
        let answer = self.ops.list_faults(self.ask(asked.clone())).await;
        self.judge(&format!("ListFaults, {what}"), wanted, answer);
        let parked = ListParkedRequest { service: asked.service, first: asked.first, ..ListParkedRequest::default() };
        let answer = self.ops.list_parked(self.ask(parked)).await;
        self.judge(&format!("ListParked, {what}"), wanted, answer);
    }

    /// Redrives, discards and edits what is parked at a place.
    async fn place_of(&mut self, what: &str, wanted: Code, place: &ParkedMessage, service: &str) {
        let ParkedMessage { source, subject, sequence, envelope, .. } = place.clone();
        let service = || service.to_owned();
        let redrive = RedriveRequest { service: service(), source: source.clone(), subject: subject.clone(), sequence };
        let answer = self.ops.redrive(self.ask(redrive)).await;
        self.judge(&format!("Redrive, {what}"), wanted, answer);
        let discard = DiscardRequest { service: service(), source: source.clone(), subject: subject.clone(), sequence };
        let answer = self.ops.discard(self.ask(discard)).await;
        self.judge(&format!("Discard, {what}"), wanted, answer);
        let edit = EditRequest { service: service(), source, subject, sequence, envelope };
        let answer = self.ops.edit(self.ask(edit)).await;
        self.judge(&format!("Edit, {what}"), wanted, answer);
    }

    pub(super) async fn operating(&mut self, text: &Hostile) {
        let said = |field: &str| format!("{field} = {}", text.name);
        let value = || text.text.clone();
        let answer = self.ops.inspect(self.ask(InspectRequest { service: value() })).await;
        self.judge(&said("Inspect, service"), NotFound, answer);
        self.lists(&said("service"), NotFound, list(&text.text, 1)).await;
        let nowhere = || ParkedMessage {
            source: "/order".into(),
            subject: "nobody-s".into(),
            sequence: 1,
            envelope: "{}".into(),
            ..ParkedMessage::default()
        };
        self.place_of(&said("service"), NotFound, &nowhere(), &text.text).await;
        // Strange names may be what an operator has to do with. Only a NUL is in none of them.
        let name = text.text.len() <= 1_000 && !text.text.contains('\0');
        let there = |there: Code| if name { there } else { InvalidArgument };
        for place in [ParkedMessage { source: value(), ..nowhere() }, ParkedMessage { subject: value(), ..nowhere() }] {
            self.place_of(&said("place"), there(NotFound), &place, "payment").await;
            let filter = ListParkedRequest {
                service: "payment".into(),
                source: place.source,
                subject: place.subject,
                ..ListParkedRequest::default()
            };
            let answer = self.ops.list_parked(self.ask(filter)).await;
            self.judge(&said("ListParked, place"), there(Fine), answer);
        }
        self.place_of(&said("envelope"), NotFound, &ParkedMessage { envelope: value(), ..nowhere() }, "payment").await;

        let fails = fault(FaultKind::MessageFails.into(), &text.text, 1);
        let wanted = line(text, 200);
        for active in [true, false] {
            let answer = self.ops.set_fault(self.ask(SetFaultRequest { active, ..fails.clone() })).await;
            self.judge(&said("SetFault, type"), wanted, answer);
        }
        let answer = self.ops.set_fault(self.ask(SetFaultRequest { service: value(), ..fails })).await;
        self.judge(&said("SetFault, service"), NotFound, answer);
        let streams = vec!["orderly.order".into(), value()];
        let answer = self.ops.tail(self.ask(TailRequest { streams })).await;
        self.judge(&said("Tail, streams"), NotFound, answer);
    }

    /// A message of payment's that cannot be obeyed until the fault is ended: soon a dead letter in
    /// process, and one that is tried again over the real port.
    async fn parked(&mut self, fails: &SetFaultRequest) -> ParkedMessage {
        self.ops.set_fault(self.ask(fails.clone())).await.expect("is set");
        let place = PlaceOrderRequest {
            customer_id: "c-1".into(),
            lines: vec![LineRequest { sku: PLENTY.into(), quantity: 1 }],
            card: Some(Card { token: "tok_approve_4242".into(), last4: "4242".into() }),
            ..PlaceOrderRequest::default()
        };
        self.orders.place_order(self.ask(place)).await.expect("is taken");
        let mut ops = self.ops.clone();
        let parked = servers::until("a parked message", PATIENCE, async || {
            let asked = ListParkedRequest { service: "payment".into(), ..ListParkedRequest::default() };
            Ok(ops.list_parked(self.ask(asked)).await?.into_inner().messages.pop())
        });
        parked.await.expect("a parked message")
    }

    /// Numbers, and what may stand in a dead letter's place.
    pub(super) async fn dead_letters(&mut self) {
        for (first, wanted) in [
            (-1, InvalidArgument),
            (501, InvalidArgument),
            (i32::MAX, InvalidArgument),
            (i32::MIN, InvalidArgument),
            (0, Fine),
            (500, Fine),
        ] {
            self.lists(&format!("first {first}"), wanted, list("payment", first)).await;
        }
        for kind in [0, -1, 4, i32::MAX, i32::MIN] {
            let answer = self.ops.set_fault(self.ask(fault(kind, "a.type", 1))).await;
            self.judge(&format!("SetFault, kind {kind}"), InvalidArgument, answer);
        }
        for times in [i64::MIN, -1, 0, 1_000_001, i64::MAX] {
            let answer = self.ops.set_fault(self.ask(fault(FaultKind::MessageFails.into(), "a.type", times))).await;
            self.judge(&format!("SetFault, times {times}"), InvalidArgument, answer);
        }
        let none = SetFaultRequest { fault: None, ..fault(0, "", 0) };
        let answer = self.ops.set_fault(self.ask(none)).await;
        self.judge("SetFault, none", InvalidArgument, answer);
        let left = self.ops.list_faults(self.ask(list("payment", 0))).await.expect("answers").into_inner();
        assert!(left.faults.is_empty(), "{left:?}");

        let fails = fault(FaultKind::MessageFails.into(), "orderly.payment.v1.CapturePayment", 1_000_000);
        let letter = self.parked(&fails).await;
        for sequence in NUMBERS.into_iter().filter(|number| *number != letter.sequence) {
            let place = ParkedMessage { sequence, ..letter.clone() };
            self.place_of(&format!("sequence {sequence}"), NotFound, &place, "payment").await;
        }
        let with = |name: &str, value: serde_json::Value| {
            let mut envelope: serde_json::Value = serde_json::from_str(&letter.envelope).expect("is JSON");
            envelope[name] = value;
            envelope.to_string()
        };
        let script = || serde_json::Value::from("<script>alert(1)</script>");
        let mut envelopes: Vec<String> =
            ["", "{}", "[]", "null", "7", "\0", "<script>alert(1)</script>"].map(str::to_owned).into();
        envelopes.push("[".repeat(100_000));
        for name in ["id", "type", "source", "subject", "sequence", "time", "dataschema", "data"] {
            envelopes.extend([with(name, serde_json::Value::Null), with(name, (-1).into()), with(name, "a\0b".into())]);
        }
        for name in ["source", "subject", "sequence", "time", "data", "deliverat"] {
            envelopes.push(with(name, script()));
        }
        envelopes.push(with("data", serde_json::json!({ "attempt": "x" })));
        for sequence in NUMBERS.into_iter().filter(|number| *number != letter.sequence) {
            envelopes.push(with("sequence", sequence.into()));
        }
        let edit = |envelope: &str| EditRequest {
            service: "payment".into(),
            source: letter.source.clone(),
            subject: letter.subject.clone(),
            sequence: letter.sequence,
            envelope: envelope.to_owned(),
        };
        for envelope in envelopes {
            // What is wrong with his own text, an operator is told with its words.
            let answer = self.ops.edit(self.ask(edit(&envelope))).await.map_err(|status| status.code());
            if answer.as_ref().err() != Some(&InvalidArgument) {
                self.wrong.push(format!("Edit, envelope {envelope:.600}: {:?}", answer.err()));
            }
        }
        // What is only told is his to choose, and the right one last.
        let told = ["id", "dataschema", "causationid"].map(|name| with(name, script()));
        for told in told.into_iter().chain([with("deliverat", i64::MAX.into()), with("deliverat", i64::MIN.into())]) {
            let answer = self.ops.edit(self.ask(edit(&told))).await;
            self.judge("Edit, what is only told", Fine, answer);
        }
        let edit = edit(&letter.envelope);
        let answer = self.ops.edit(self.ask(edit)).await;
        self.judge("Edit, as it was", Fine, answer);
        let redrive = RedriveRequest {
            service: "payment".into(),
            source: letter.source,
            subject: letter.subject,
            sequence: letter.sequence,
        };
        let answer = self.ops.redrive(self.ask(redrive.clone())).await;
        self.judge("Redrive, as it was", Fine, answer);
        self.ops.set_fault(self.ask(SetFaultRequest { active: false, ..fails })).await.expect("is ended");
        let mut ops = self.ops.clone();
        let obeyed = servers::until("it is obeyed", PATIENCE, async || {
            // A try that was under way may have failed once more.
            let _ = ops.redrive(self.ask(redrive.clone())).await;
            let seen = ops.inspect(self.ask(InspectRequest { service: "payment".into() })).await?.into_inner();
            Ok((seen.dead_letters + seen.parked_retrying + seen.parked_behind == 0).then_some(()))
        });
        obeyed.await.expect("it is obeyed");
    }

    /// Every method of Ops refuses whoever is nobody or no operator.
    pub(super) async fn operators_only(&mut self, customer: &Identity) {
        macro_rules! closed {
            ($($method:ident($what:expr)),+ $(,)?) => {$(
                let answer = self.ops.$method($what).await;
                self.judge(concat!(stringify!($method), " of nobody"), Unauthenticated, answer);
                let answer = self.ops.$method(customer.request($what).expect("plain")).await;
                self.judge(concat!(stringify!($method), " of a customer"), PermissionDenied, answer);
            )+};
        }
        closed! {
            list_services(ListServicesRequest {}),
            inspect(InspectRequest { service: "payment".into() }),
            list_outbox(list("payment", 1)),
            list_inbox(list("payment", 1)),
            list_parked(ListParkedRequest { service: "payment".into(), ..ListParkedRequest::default() }),
            list_timers(list("payment", 1)),
            list_leases(list("payment", 1)),
            redrive(RedriveRequest { service: "payment".into(), ..RedriveRequest::default() }),
            discard(DiscardRequest { service: "payment".into(), ..DiscardRequest::default() }),
            edit(EditRequest { service: "payment".into(), ..EditRequest::default() }),
            list_faults(list("payment", 1)),
            set_fault(fault(FaultKind::RelayPaused.into(), "", 0)),
            tail(TailRequest::default()),
        }
        let left = self.ops.list_faults(self.ask(list("payment", 0))).await.expect("answers").into_inner();
        assert!(left.faults.is_empty(), "{left:?}");
    }
}
