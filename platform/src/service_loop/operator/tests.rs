//! What an operator may do with a parked message, by where it stands.

use super::*;
use crate::error::Code;

const NOW: Millis = 5_000;

fn envelope(source: &str, subject: &str, sequence: i64) -> String {
    format!(
        r#"{{"id":"1","type":"t","source":"{source}","subject":"{subject}","sequence":{sequence},
            "time":"2026-01-01T00:00:00.000Z","dataschema":"1","correlationid":"c","causationid":"d","data":{{}}}}"#
    )
}

fn row(sequence: i64, state: State, next_due: Option<Millis>) -> Parked {
    Parked {
        source: "/x".into(),
        subject: "a".into(),
        sequence,
        stream: "test.in".into(),
        envelope: envelope("/x", "a", sequence),
        state: state.as_str().into(),
        attempts: 3,
        errors: "[]".into(),
        next_due,
        parked_at: 1,
    }
}

/// The first of its line, and next to be obeyed.
fn head(state: State, next_due: Option<Millis>) -> Standing {
    Standing { row: row(5, state, next_due), first: 5, last: 4 }
}

/// One that lines up behind number 5.
fn behind() -> Standing {
    Standing { row: row(6, State::Behind, None), first: 5, last: 4 }
}

fn judge(standing: Standing, wish: &Wish) -> Result<Step, Rejection> {
    standing.judge(wish, NOW, |_| Ok(()))
}

fn kept(step: Result<Step, Rejection>) -> Parked {
    match step {
        Ok(Step::Keep(row)) => row,
        other => panic!("not kept: {other:?}"),
    }
}

fn code(step: Result<Step, Rejection>) -> Code {
    step.expect_err("is refused").code
}

#[test]
fn a_redrive_makes_a_dead_letter_and_a_waiting_one_due_now() {
    for standing in [head(State::Dead, None), head(State::Retry, Some(90_000))] {
        let row = kept(judge(standing, &Wish::Redrive));
        assert_eq!((row.state.as_str(), row.next_due, row.attempts), ("RETRY", Some(NOW), 3));
    }
}

#[test]
fn what_stands_behind_another_is_neither_redriven_nor_discarded() {
    assert_eq!(code(judge(behind(), &Wish::Redrive)), Code::Conflict);
    assert_eq!(code(judge(behind(), &Wish::Discard)), Code::Conflict);
}

#[test]
fn a_discard_moves_the_line_past_it() {
    for standing in [head(State::Dead, None), head(State::Retry, Some(90_000))] {
        let step = judge(standing, &Wish::Discard);
        assert!(matches!(step, Ok(Step::Remove { moved: Some((4, 5)) })), "{step:?}");
    }
}

#[test]
fn a_discard_never_skips_what_was_not_seen_and_never_goes_back() {
    let ahead = Standing { last: 3, ..head(State::Dead, None) };
    assert_eq!(code(judge(ahead, &Wish::Discard)), Code::Conflict);
    let left_over = Standing { last: 5, ..head(State::Dead, None) };
    assert!(matches!(judge(left_over, &Wish::Discard), Ok(Step::Remove { moved: None })));
}

#[test]
fn an_edit_changes_the_text_and_makes_due_only_what_waits_for_its_retry() {
    let text = |sequence| envelope("/x", "a", sequence).replace("{}", r#"{"new":1}"#);
    for (standing, sequence, state, due) in [
        (head(State::Dead, None), 5, "DEAD", None),
        (head(State::Retry, Some(90_000)), 5, "RETRY", Some(NOW)),
        (behind(), 6, "BEHIND", None),
    ] {
        let row = kept(judge(standing, &Wish::Edit(text(sequence))));
        assert_eq!((row.state.as_str(), row.next_due), (state, due));
        assert_eq!(row.envelope, text(sequence));
    }
}

#[test]
fn an_edit_that_cannot_stand_in_the_place_is_refused() {
    for text in [
        "no JSON".to_owned(),
        "{}".to_owned(),
        envelope("/y", "a", 5),
        envelope("/x", "b", 5),
        envelope("/x", "a", 6),
        envelope("/x", "a", 5).replace("{}", r#"{"name":"a\u0000b"}"#),
    ] {
        assert_eq!(code(judge(head(State::Dead, None), &Wish::Edit(text.clone()))), Code::BadInput, "{text}");
    }
    let unread = head(State::Dead, None).judge(&Wish::Edit(envelope("/x", "a", 5)), NOW, |_| Err("no".to_owned()));
    assert_eq!(code(unread), Code::BadInput);
}

#[test]
fn what_never_was_a_message_can_only_be_discarded() {
    let garbage = || {
        let row = Parked { source: "unreadable:test.in.0".into(), envelope: "?".into(), ..row(1, State::Dead, None) };
        Standing { row, first: 1, last: 0 }
    };
    assert_eq!(code(judge(garbage(), &Wish::Edit(envelope("/x", "a", 1)))), Code::Conflict);
    assert!(matches!(judge(garbage(), &Wish::Discard), Ok(Step::Remove { moved: Some((0, 1)) })));
}
