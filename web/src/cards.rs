//! The seven test cards, as the pages offer them. What they do is the simulated bank's business;
//! here is only what a visitor reads.

/// A card on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TestCard {
    /// Digits only.
    pub(crate) number: &'static str,
    pub(crate) shown: &'static str,
    pub(crate) what_happens: &'static str,
}

/// All of them; the first is the one that simply works.
pub(crate) const TEST_CARDS: [TestCard; 7] = [
    card("4242424242424242", "4242 4242 4242 4242", "is approved"),
    card("4000000000000002", "4000 0000 0000 0002", "is declined"),
    card("4000000000009995", "4000 0000 0000 9995", "has insufficient funds"),
    card("4000000000000077", "4000 0000 0000 0077", "is approved, slowly"),
    card("4000000000000119", "4000 0000 0000 0119", "reaches the bank at the third try"),
    card("4000000000000341", "4000 0000 0000 0341", "is approved, but the answer is lost once"),
    card("4000000000000069", "4000 0000 0000 0069", "is approved, then the capture is refused"),
];

const fn card(number: &'static str, shown: &'static str, what_happens: &'static str) -> TestCard {
    TestCard { number, shown, what_happens }
}

/// What was chosen in a form: the field `card`, and `card_number` beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// Pay afterwards, on the order's page.
    Later,
    /// This number: a test card's, or one that was typed.
    Now(&'a str),
}

impl<'a> Choice<'a> {
    /// Reads the two fields; `None` if they name no card at all. A number that was typed is meant,
    /// whichever test card is marked beside it.
    pub(crate) fn of(card: Option<&'a str>, card_number: Option<&'a str>) -> Option<Self> {
        match (card, card_number) {
            (Some("later"), _) => Some(Self::Later),
            (_, Some(number)) | (Some(number), None) => Some(Self::Now(number)),
            (None, None) => None,
        }
    }
}

/// Whether the text has the shape of a card number, however its digits are grouped. What the number
/// means is the bank's business.
pub(crate) fn is_card_number(text: &str) -> bool {
    let digits: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_test_card_a_typed_one_or_later() {
        assert_eq!(Choice::of(Some("later"), Some("1")), Some(Choice::Later));
        assert_eq!(Choice::of(Some("4242"), None), Some(Choice::Now("4242")));
        assert_eq!(Choice::of(Some("4242"), Some("1")), Some(Choice::Now("1")));
        assert_eq!(Choice::of(None, Some("1")), Some(Choice::Now("1")));
        assert_eq!(Choice::of(None, None), None);
    }

    #[test]
    fn the_numbers_shown_are_the_numbers_sent() {
        for card in TEST_CARDS {
            assert_eq!(card.shown.replace(' ', ""), card.number);
        }
    }

    #[test]
    fn a_card_number_is_digits_however_they_are_grouped() {
        assert!(TEST_CARDS.iter().all(|card| is_card_number(card.shown) && is_card_number(card.number)));
        for wrong in ["", "later", "4242", "4242 4242 4242 424x", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", &"4".repeat(20)] {
            assert!(!is_card_number(wrong), "{wrong}");
        }
    }
}
