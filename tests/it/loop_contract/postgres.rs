//! Postgres in anger, under the loop: commits whose answer is lost, connections that break in the
//! middle, silence, and a server that is killed or restarted under load. Whatever was answered is
//! there, nothing happens twice, nobody waits for ever.

use platform::store::StoreOptions;

use super::*;
use crate::servers::proxy::{Proxy, When};
use crate::servers::{Durability, PgServer};

/// A world whose store is behind a network that can be broken; [`World::db`] goes past it.
async fn behind_a_proxy() -> Result<(World, Proxy)> {
    let world = World::new(true, false).await?;
    let (proxy, through) = Proxy::before(&world.address).await?;
    Ok((World { address: through, ..world }, proxy))
}

/// A service that loses its patience with the store quickly.
async fn start_impatient(world: &World) -> Result<Running<Tally>> {
    let options = StoreOptions { connections: 4, patience: Duration::from_millis(400) };
    let around = Surroundings {
        db: Db::open_with(&world.address, options).await?,
        bus: world.bus().await?,
        clock: world.clock.clone(),
        partitions: PARTITIONS,
        backoff: BACKOFF,
    };
    Ok(start(Arc::new(Tally { script: world.script.clone() }), around).await?)
}

/// Repeats under the same id until there is an answer, as a client does.
async fn insist(handle: &Handle<Tally>, id: &str, input: impl Fn() -> Input) -> i64 {
    loop {
        match submit(handle.clone(), command(id, input())).await {
            Ok(balance) => return balance,
            Err(failure) => assert_eq!(failure.code(), Code::Unavailable, "{failure}"),
        }
    }
}

/// Whether it happened or not, the caller gets the right answer and never hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_has_one_effect_and_the_right_answer() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    for (round, when) in [When::BeforeForwarding, When::AfterForwarding].into_iter().cycle().take(20).enumerate() {
        // Else it would be the relay's commit as likely as the loop's.
        world.until_everything_is_settled().await?;
        proxy.cut_at(b"COMMIT", when);
        let balance = add(&running, &round.to_string(), "a", 1).await?;
        assert_eq!(balance, i64::try_from(round)? + 1, "{when:?}");
        until("the trap has struck", PATIENCE, async || Ok((proxy.sprung() > round).then_some(()))).await?;
    }
    assert_eq!(probe.until_count("a", 20).await?, 20);
    assert_eq!(world.balance("a").await?, 20);
    running.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_whose_commit_is_in_doubt_has_one_effect_and_is_acked() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    for (round, when) in (1..).zip([When::BeforeForwarding, When::AfterForwarding].into_iter().cycle().take(12)) {
        proxy.cut_at(b"COMMIT", when);
        world.say(&[("b", round, 1)]).await?;
        world.until_balance("b", round).await?;
    }
    assert_eq!(probe.until_count("b", 12).await?, 12);
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert!(world.parked().await?.is_empty(), "no message is guilty of a network");
    assert!(proxy.sprung() >= 11, "each round has had its trap: {}", proxy.sprung());
    running.stop().await;
    Ok(())
}

/// More often in a row than conflicts are put up with. No message is parked for it, and the
/// command that is decided with it gets its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_that_stay_in_doubt_are_an_outage_and_not_a_fault_of_the_input() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    add(&running, "before", "a", 1).await?;
    world.until_everything_is_settled().await?;
    let before = world.script.loads();
    proxy.cut_at_each(b"COMMIT", When::BeforeForwarding);
    world.say(&[("b", 1, 1)]).await?;
    let asked = tokio::spawn(submit(running.handle(), command("asked", Input::add("a", 1))));
    until("it was decided in vain many times", PATIENCE, async || {
        Ok((world.script.loads() > before + 20).then_some(()))
    })
    .await?;
    proxy.spare();
    world.until_balance("b", 1).await?;
    assert_eq!(asked.await??, 2);
    assert!(world.parked().await?.is_empty(), "no message is guilty of a network");
    assert_eq!(probe.until_count("a", 2).await?, 2);
    assert_eq!(probe.until_count("b", 1).await?, 1);
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

/// Cut at the writing of the rows: nothing of the transaction stays. Commands are told, messages
/// wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_breaks_inside_a_transaction_leaves_nothing_of_it() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    let mut told = 0;
    for (round, when) in [When::BeforeForwarding, When::AfterForwarding].into_iter().cycle().take(10).enumerate() {
        proxy.cut_at(b"\"balance\":", when);
        let id = round.to_string();
        match add(&running, &id, "a", 1).await {
            Err(failure) => {
                assert_eq!(failure.code(), Code::Unavailable, "{failure}");
                told += 1;
            }
            Ok(_) => anyhow::bail!("its rows could not be written"),
        }
        assert_eq!(world.balance("a").await?, i64::try_from(round)?, "nothing of it stayed");
        assert_eq!(insist(&running.handle(), &id, || Input::add("a", 1)).await, i64::try_from(round)? + 1);
        // And a message, which waits and is done.
        proxy.cut_at(b"\"balance\":", when);
        world.say(&[("b", i64::try_from(round)? + 1, 1)]).await?;
        world.until_balance("b", i64::try_from(round)? + 1).await?;
    }
    assert_eq!((told, proxy.sprung()), (10, 20));
    assert_eq!(probe.until_count("a", 10).await?, 10);
    assert_eq!(probe.until_count("b", 10).await?, 10);
    world.until_everything_is_settled().await?;
    assert!(world.parked().await?.is_empty());
    running.stop().await;
    Ok(())
}

/// Nothing is closed, nothing is said. Callers are told after the store's patience, again and again,
/// and the silence does not eat the sessions away.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_postgres_makes_nobody_wait_for_ever() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let running = start_impatient(&world).await?;
    let probe = Probe::start(&world).await?;
    for round in 0..3 {
        // It hangs in the middle of a unit of work.
        world.script.work.send_replace(false);
        let before = world.script.loads();
        let handle = running.handle();
        let hanging = tokio::spawn(submit(handle, command(&format!("hanging {round}"), Input::add("a", 1))));
        until("the loop is at work", PATIENCE, async || Ok((world.script.loads() > before).then_some(()))).await?;
        proxy.swallow(true);
        world.script.work.send_replace(true);
        let told = tokio::time::timeout(PATIENCE, hanging).await??;
        assert_eq!(code(&told), Some(Code::Unavailable));
        for call in 0..6 {
            let result = tokio::time::timeout(PATIENCE, add(&running, &format!("{round} {call}"), "a", 1)).await?;
            assert_eq!(code(&result), Some(Code::Unavailable));
        }
        world.say(&[("b", round + 1, 1)]).await?;
        if round == 1 {
            // As a firewall ends it; else what was held back arrives late.
            proxy.cut();
        }
        proxy.swallow(false);
        world.until_balance("b", round + 1).await?;
        for call in 0..6 {
            insist(&running.handle(), &format!("{round} {call}"), || Input::add("a", 1)).await;
        }
        insist(&running.handle(), &format!("hanging {round}"), || Input::add("a", 1)).await;
        assert_eq!(world.balance("a").await?, (round + 1) * 7);
    }
    assert_eq!(probe.until_count("a", 21).await?, 21);
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert!(world.parked().await?.is_empty());
    running.stop().await;
    Ok(())
}

/// `kill -9` of the server, and a stop in order, in turns, while clients and messages come.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_postgres_that_is_killed_and_restarted_under_load_loses_and_repeats_nothing() -> Result<()> {
    const CLIENTS: i64 = 6;
    const EACH: i64 = 40;
    let server = PgServer::start(Durability::ProcessCrash).await?;
    let address = server.fresh_database().await?;
    let db = Db::open(&address).await?;
    db.migrate(SPEC.migrations).await?;
    let world = World { address, db, ..World::new(false, false).await? };
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let handle = running.handle();
            tokio::spawn(async move {
                for index in 0..EACH {
                    insist(&handle, &format!("{client} {index}"), || Input::add("a", 1)).await;
                }
            })
        })
        .collect();
    world.say(&(1..=EACH).map(|sequence| ("b", sequence, 1)).collect::<Vec<_>>()).await?;
    for round in 1..=4 {
        let mark = CLIENTS * EACH * round / 5;
        until("it goes on", PATIENCE, async || {
            let balance = world.balances().await.ok().and_then(|all| all.get("a").copied()).unwrap_or(0);
            Ok((balance >= mark).then_some(()))
        })
        .await?;
        if round % 2 == 0 {
            server.stop().await?
        } else {
            server.kill9()?
        }
        server.restart().await?;
    }
    for client in clients {
        client.await?;
    }
    let all = usize::try_from(CLIENTS * EACH)?;
    assert_eq!(probe.until_count("a", all).await?, CLIENTS * EACH);
    assert_eq!(probe.until_count("b", usize::try_from(EACH)?).await?, EACH);
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert!(world.parked().await?.is_empty());
    running.stop().await;
    Ok(())
}

/// Somebody else's transaction takes the same rows the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadlock_with_a_stranger_ends_in_one_effect_each() -> Result<()> {
    const TAKE: &str = "UPDATE accounts SET balance = balance + 100, version = version + 1
        WHERE name IN (SELECT r.value->>'name' FROM jsonb_each($1) AS r)";
    let world = World::new(true, false).await?;
    let running = world.start().await?;
    for name in ["a", "b"] {
        add(&running, name, name, 1).await?;
    }
    let mut stranger = world.db.begin().await?;
    stranger.execute(TAKE, &[serde_json::json!({ "name": "b" })]).await?;
    // In one batch, which locks a and waits for b.
    let handle = running.handle();
    world.script.work.send_replace(false);
    let before = world.script.loads();
    let plug = tokio::spawn(submit(handle.clone(), command("plug", Input::add("plug", 0))));
    until("the loop is at work", PATIENCE, async || Ok((world.script.loads() > before).then_some(()))).await?;
    let asked: Vec<_> = ["a", "b"]
        .map(|name| tokio::spawn(submit(handle.clone(), command(&format!("{name} again"), Input::add(name, 1)))))
        .into();
    world.script.work.send_replace(true);
    plug.await??;
    until("it waits for the stranger", PATIENCE, async || {
        let waiting = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 <> ''";
        let rows: Vec<(i64,)> = world.db.read(waiting, &[0; 0]).await?;
        Ok((rows[0].0 > 0).then_some(()))
    })
    .await?;
    let taken = stranger.execute(TAKE, &[serde_json::json!({ "name": "a" })]).await;
    let strangers = match taken {
        Ok(_) => {
            stranger.commit().await?;
            100
        }
        // Postgres may choose either of the two.
        Err(error) => {
            assert!(matches!(error, platform::store::StoreError::Conflict(_)), "{error}");
            stranger.rollback().await?;
            0
        }
    };
    for (name, asked) in ["a", "b"].into_iter().zip(asked) {
        if let Err(failure) = asked.await? {
            assert_eq!(failure.code(), Code::Unavailable, "{failure}");
        }
        insist(&running.handle(), &format!("{name} again"), || Input::add(name, 1)).await;
        assert_eq!(world.balance(name).await?, 2 + strangers);
    }
    running.stop().await;
    Ok(())
}
