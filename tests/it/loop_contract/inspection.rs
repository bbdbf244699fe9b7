//! The Ops server over one service: what it shows, what it refuses, and the tail.

use contracts::ops::ops_client::OpsClient;
use contracts::ops::{
    DiscardRequest, EditRequest, Fault as WireFault, FaultKind, InspectRequest, Inspection, ListParkedRequest,
    ListRequest, RedriveRequest, SetFaultRequest, TailRequest, TailedMessage,
};
use platform::grpc::{Connection, Identity, in_process};
use platform::ops;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::*;

two_ways! {
    who_tails_sees_what_is_published_from_then_on
    what_is_inside_can_be_read
    hostile_names_find_nothing_and_break_nothing
}

fn change(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &Change { name: name.into(), n }))
}

/// The Ops server over one service, as its clients see it.
fn desk(running: &Running<Tally>) -> (OpsClient<Connection>, CancellationToken) {
    let stop = CancellationToken::new();
    (OpsClient::new(in_process(ops::server([running.inside()], &[&SPEC], stop.clone()))), stop)
}

fn operator() -> Identity {
    Identity { account: "olga".to_owned(), operator: true }
}

async fn tail(running: &Running<Tally>, streams: &[&str]) -> Result<(Streaming<TailedMessage>, CancellationToken)> {
    let (mut client, stop) = desk(running);
    let streams = streams.iter().map(|stream| (*stream).to_owned()).collect();
    Ok((client.tail(operator().request(TailRequest { streams })?).await?.into_inner(), stop))
}

async fn next(messages: &mut Streaming<TailedMessage>) -> Result<Envelope> {
    let message = tokio::time::timeout(PATIENCE, messages.message()).await??;
    let message = message.ok_or_else(|| anyhow::anyhow!("the tail has ended"))?;
    assert_eq!(message.stream, OUT);
    Ok(Envelope::parse(&message.envelope)?)
}

async fn who_tails_sees_what_is_published_from_then_on(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    add(&running, "before", "a", 1).await?;
    probe.until_changed("a", &[1]).await?;
    let (mut messages, stop) = tail(&running, &[]).await?;
    let (mut named, _stop) = tail(&running, &[OUT]).await?;
    // On Redis the relay hears of the tails a moment after their beginning.
    let mut said = 0;
    let first = loop {
        said += 1;
        add(&running, &format!("{said}"), "a", 1).await?;
        let patience = if matches!(*world.broker, Broker::Redis(_)) { 50 } else { 30_000 };
        if let Ok(first) = tokio::time::timeout(Duration::from_millis(patience), next(&mut messages)).await {
            break first?;
        }
    };
    assert!(first.sequence > 1, "from then on");
    if matches!(*world.broker, Broker::Embedded(_)) {
        assert_eq!(first.sequence, 2, "nothing is missed");
    }
    for n in 0..50 {
        add(&running, &format!("then {n}"), "a", 1).await?;
    }
    for sequence in 1..=50 {
        assert_eq!(next(&mut messages).await?.sequence, first.sequence + sequence);
    }
    let also = next(&mut named).await?;
    assert!((first.sequence..=first.sequence + 50).contains(&also.sequence), "{}", also.sequence);
    // A wrong name would show nothing for ever.
    let unknown = tail(&running, &["toy.uot"]).await.expect_err("no such stream");
    assert!(unknown.to_string().contains(OUT), "{unknown}");
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, messages.message()).await??;
    assert!(ended.is_none(), "{ended:?}");
    running.stop().await;
    Ok(())
}

async fn what_is_inside_can_be_read(world: &World) -> Result<()> {
    let running = world.start().await?;
    let (mut client, _stop) = desk(&running);
    client
        .set_fault(operator().request(SetFaultRequest {
            service: SPEC.name.to_owned(),
            fault: Some(WireFault { kind: FaultKind::RelayPaused.into(), ..WireFault::default() }),
            active: true,
        })?)
        .await?;
    submit(running.handle(), command("1", Input::remind("later", NOON + 60_000))).await?;
    add(&running, "2", "a", 5).await?;
    world.clock.advance(Duration::from_secs(7));
    let malformed = change("b", 2, 1).1.replace("\"n\":1", "\"n\":\"many\"");
    world.publish(&[change("b", 1, 1), ("b", malformed), change("b", 3, 1)]).await?;
    world.until_parked(&[("b", 2, "DEAD", 1), ("b", 3, "BEHIND", 0)]).await?;
    world.until_everything_is_acked().await?;

    let inspection = client.inspect(operator().request(InspectRequest { service: SPEC.name.into() })?).await?;
    let Inspection { service, outbox_unpublished, outbox_oldest_ms, outbox_unsettled, inbox_lines, .. } =
        inspection.get_ref();
    assert_eq!((service.as_str(), *outbox_unpublished, *outbox_unsettled, *inbox_lines), (SPEC.name, 2, 0, 1));
    assert_eq!(*outbox_oldest_ms, 7_000);
    let Inspection { parked_retrying, parked_behind, dead_letters, timers, streams, .. } = inspection.get_ref();
    assert_eq!((*parked_retrying, *parked_behind, *dead_letters, *timers), (0, 1, 1, 1));
    let streams: Vec<_> = streams.iter().map(|stream| (stream.stream.as_str(), stream.lag, stream.pending)).collect();
    assert_eq!(streams, [(IN, 0, 0), (SPEC.timers, 0, 0)]);

    let list = |first| ListRequest { service: SPEC.name.to_owned(), first };
    let outbox = client.list_outbox(operator().request(list(0))?).await?.into_inner().messages;
    let outbox: Vec<_> = outbox.iter().map(|row| (row.subject.as_str(), row.sequence, row.position.as_str())).collect();
    assert_eq!(outbox, [("a", 1, ""), ("b", 1, "")]);
    let inbox = client.list_inbox(operator().request(list(0))?).await?.into_inner().lines;
    assert_eq!(inbox.iter().map(|line| (line.subject.as_str(), line.sequence)).collect::<Vec<_>>(), [("b", 1)]);
    let timers = client.list_timers(operator().request(list(1))?).await?.into_inner().timers;
    assert_eq!((timers[0].subject.as_str(), timers[0].kind.as_str(), timers[0].due), ("later", "bell", NOON + 60_000));
    let leases = client.list_leases(operator().request(list(0))?).await?.into_inner().leases;
    assert_eq!(leases.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>(), ["partition-0", "partition-1"]);
    assert_eq!(leases.iter().all(|lease| lease.expires_at.is_some()), !world.db.is_exclusive());

    for first in [-1, 501] {
        let refused = client.list_inbox(operator().request(list(first))?).await.expect_err("too many");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
    let stranger = Identity { account: "ada".to_owned(), operator: false };
    let refused = client.list_inbox(stranger.request(list(0))?).await.expect_err("no operator");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let refused = client.list_inbox(tonic::Request::new(list(0))).await.expect_err("nobody");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let elsewhere = ListRequest { service: "elsewhere".to_owned(), first: 0 };
    let refused = client.list_inbox(operator().request(elsewhere)?).await.expect_err("no such service");
    assert_eq!((refused.code(), refused.message().contains(SPEC.name)), (tonic::Code::NotFound, true));
    running.stop().await;
    Ok(())
}

async fn hostile_names_find_nothing_and_break_nothing(world: &World) -> Result<()> {
    use tonic::Code::{InvalidArgument, NotFound};
    let running = world.start().await?;
    let (mut client, _stop) = desk(&running);
    let long = "x".repeat(10_000);
    for (name, wanted) in [
        ("it's \"quoted\" \\ %_;--", NotFound),
        ("日本 \u{202e}\u{1f600}", NotFound),
        ("line\nbreak\u{1b}[31m", NotFound),
        ("", NotFound),
        ("a\0b", InvalidArgument),
        (&long, InvalidArgument),
    ] {
        let place = |sequence| RedriveRequest {
            service: SPEC.name.to_owned(),
            source: name.to_owned(),
            subject: name.to_owned(),
            sequence,
        };
        for sequence in [i64::MIN, -1, 0, i64::MAX] {
            let refused = client.redrive(operator().request(place(sequence))?).await.expect_err("is not there");
            assert_eq!(refused.code(), wanted, "{name:?}: {refused}");
            let RedriveRequest { service, source, subject, .. } = place(sequence);
            let discard = DiscardRequest { service, source, subject, sequence };
            let refused = client.discard(operator().request(discard)?).await.expect_err("is not there");
            assert_eq!(refused.code(), wanted, "{name:?}: {refused}");
        }
        let RedriveRequest { service, source, subject, sequence } = place(1);
        let edit = EditRequest { service, source, subject, sequence, envelope: name.to_owned() };
        let refused = client.edit(operator().request(edit)?).await.expect_err("is not there");
        assert_eq!(refused.code(), wanted, "{name:?}: {refused}");
        // An empty name means any, and nothing is parked at all.
        let RedriveRequest { service, source, subject, .. } = place(1);
        let parked = ListParkedRequest { service, dead_only: false, first: 500, source, subject };
        let listed = client.list_parked(operator().request(parked)?).await;
        let listed = listed.map(|listed| listed.into_inner().total).map_err(|refused| refused.code());
        assert_eq!(listed, if wanted == NotFound { Ok(0) } else { Err(InvalidArgument) }, "{name:?}");
        let tail = TailRequest { streams: vec![name.to_owned()] };
        let refused = client.tail(operator().request(tail)?).await.expect_err("no such stream");
        assert_eq!(refused.code(), NotFound);
    }
    let fails = |kind: &str, times| WireFault { kind: FaultKind::MessageFails.into(), r#type: kind.to_owned(), times };
    let unknown = WireFault { kind: 99, ..WireFault::default() };
    for fault in [
        None,
        Some(unknown),
        Some(fails("", 1)),
        Some(fails(&long, 1)),
        Some(fails("a.B", i64::MAX)),
        Some(fails("a.B", -1)),
    ] {
        let set = SetFaultRequest { service: SPEC.name.to_owned(), fault: fault.clone(), active: true };
        let refused = client.set_fault(operator().request(set)?).await.expect_err("no such fault");
        assert_eq!(refused.code(), InvalidArgument, "{fault:?}");
    }
    assert_eq!(add(&running, "1", "a", 1).await?, 1, "it goes on");
    running.stop().await;
    Ok(())
}
