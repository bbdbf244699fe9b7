//! The test cards: a number becomes a token, and the bank knows the token.
//!
//! *Tokenisation* keeps card numbers out of the shop: what travels, is stored and
//! is logged is a token and the last four digits. The number is looked at here, in
//! passing, and goes nowhere from here, not into an error either.

use platform::error::Rejection;

use crate::domain::Card;

/// How the bank treats a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Approves.
    Approve,
    /// Declines.
    Decline,
    /// Declines, as there is not enough money.
    InsufficientFunds,
    /// Approves, and takes its time.
    Slow,
    /// Cannot be reached the first two times.
    Unreachable,
    /// Does as it is asked, but its first answer is lost.
    LostAnswer,
    /// Approves, and then refuses to hand the money over.
    RefuseCapture,
}

struct TestCard {
    /// Written as people write it.
    number: &'static str,
    token: &'static str,
    conduct: Conduct,
}

const CARDS: [TestCard; 7] = [
    TestCard { number: "4242 4242 4242 4242", token: "tok_approve_4242", conduct: Conduct::Approve },
    TestCard { number: "4000 0000 0000 0002", token: "tok_decline_0002", conduct: Conduct::Decline },
    TestCard { number: "4000 0000 0000 9995", token: "tok_insufficient_9995", conduct: Conduct::InsufficientFunds },
    TestCard { number: "4000 0000 0000 0077", token: "tok_slow_0077", conduct: Conduct::Slow },
    TestCard { number: "4000 0000 0000 0119", token: "tok_unreachable_0119", conduct: Conduct::Unreachable },
    TestCard { number: "4000 0000 0000 0341", token: "tok_lost_0341", conduct: Conduct::LostAnswer },
    TestCard { number: "4000 0000 0000 0069", token: "tok_capture_refused_0069", conduct: Conduct::RefuseCapture },
];

/// The card behind a number, written with or without spaces and dashes.
///
/// # Errors
/// BAD_INPUT for every number but the test cards'. It does not repeat the
/// number: what was typed may be a real one.
pub(crate) fn tokenize(number: &str) -> Result<Card, Rejection> {
    CARDS
        .iter()
        .find(|card| digits(number).eq(digits(card.number)))
        .map(|card| Card {
            token: card.token.to_owned(),
            last4: card.number.rsplit(' ').next().unwrap_or_default().to_owned(),
        })
        .ok_or_else(|| {
            let numbers: Vec<_> = CARDS.iter().map(|card| card.number).collect();
            Rejection::bad_input(format!("use one of the test cards: {}", numbers.join(", ")))
        })
}

/// How the bank treats a token; `None` if it never gave it out.
pub(crate) fn conduct(token: &str) -> Option<Conduct> {
    CARDS.iter().find(|card| card.token == token).map(|card| card.conduct)
}

/// Everything but spaces and dashes, so that a letter makes a difference.
fn digits(number: &str) -> impl Iterator<Item = char> {
    number.chars().filter(|c| !matches!(c, ' ' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_card_has_a_token_that_the_bank_knows_and_that_hides_its_number() {
        for card in &CARDS {
            let known = tokenize(card.number).expect("a test card");
            assert_eq!(conduct(&known.token), Some(card.conduct));
            assert!(card.number.ends_with(&known.last4) && known.last4.len() == 4);
            assert!(known.token.chars().filter(char::is_ascii_digit).count() <= 4, "{}", known.token);
        }
    }

    #[test]
    fn spaces_and_dashes_do_not_matter() {
        for number in ["4242424242424242", " 4242-4242-4242-4242 ", "42 42-42 4242424242"] {
            assert_eq!(tokenize(number).expect("a test card").token, "tok_approve_4242");
        }
    }

    #[test]
    fn any_other_number_is_refused_and_not_repeated() {
        for number in [
            "",
            " ",
            "4111 1111 1111 1111",
            "4242 4242 4242 424",
            "4242x4242 4242 4242",
            "4242 4242 4242 4242 4",
            "٤٢٤٢",
        ] {
            let refused = tokenize(number).expect_err("no test card");
            assert!(refused.message.starts_with("use one of the test cards"));
            assert!(number.trim().is_empty() || !refused.message.contains("4111"), "{}", refused.message);
        }
    }
}
