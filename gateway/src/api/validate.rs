//! Validation at the boundary: what goes further in is well-formed.
//!
//! Each function takes a text as a stranger sent it and gives what the services
//! understand, or `BAD_USER_INPUT` with a sentence that says what would be right
//! and never repeats what was sent. Control characters are refused in every text:
//! a NUL would fail a whole batch on Postgres, a line break would forge a log line.

use std::collections::HashMap;

use super::{Address, ApiError, LineRequest, Money};

/// Lines of an order.
pub(crate) const MOST_LINES: usize = 500;
/// Of one SKU in an order.
pub(crate) const LARGEST_QUANTITY: i64 = 1_000_000;
/// GraphQL's `Int` ends here.
pub(crate) const LARGEST_INT: i64 = i32::MAX as i64;
/// Rows of one page.
pub(crate) const LARGEST_PAGE: i32 = 100;

/// Windows of a minute in one answer: a day's.
pub(crate) const MOST_WINDOWS: i32 = 24 * 60;

type Checked<T> = Result<T, ApiError>;

fn bad<T>(message: impl Into<String>) -> Checked<T> {
    Err(ApiError::bad_input(message))
}

/// One line of text for people, `least..=most` characters without the spaces
/// around it.
fn text(what: &str, text: &str, least: usize, most: usize) -> Checked<String> {
    let text = text.trim();
    if text.chars().any(is_control) {
        return bad(format!("{what} contains a control character"));
    }
    if (least..=most).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else if least == 0 {
        bad(format!("{what} must have at most {most} characters"))
    } else {
        bad(format!("{what} must have {least} to {most} characters"))
    }
}

/// Control characters of ASCII and Unicode, line and paragraph separators, and
/// what reorders a text that is displayed.
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A SKU: ASCII letters, digits and `-_./`, up to 64; upper-cased. A product's page
/// has it in its path, where `.` and `..` mean another page.
pub(crate) fn sku(text: &str) -> Checked<String> {
    let text = text.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !(1..=64).contains(&text.len()) || !text.bytes().all(allowed) {
        return bad("a SKU is 1 to 64 letters A-Z, digits and the characters - _ . /");
    }
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return bad("between the slashes of a SKU stands neither . nor ..");
    }
    Ok(text.to_ascii_uppercase())
}

/// The lines of an order, those of one SKU added up, in the order in which the
/// SKUs first came.
pub(crate) fn lines(asked: &[LineRequest]) -> Checked<Vec<LineRequest>> {
    if !(1..=MOST_LINES).contains(&asked.len()) {
        return bad(format!("an order has 1 to {MOST_LINES} lines"));
    }
    let mut merged: Vec<LineRequest> = Vec::with_capacity(asked.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(asked.len());
    for line in asked {
        let sku = sku(&line.sku)?;
        quantity(line.quantity)?;
        match places.get(&sku) {
            Some(&place) => {
                merged[place].quantity += line.quantity;
                quantity(merged[place].quantity)?;
            }
            None => {
                places.insert(sku.clone(), merged.len());
                merged.push(LineRequest { sku, quantity: line.quantity });
            }
        }
    }
    Ok(merged)
}

fn quantity(quantity: i64) -> Checked<()> {
    if (1..=LARGEST_QUANTITY).contains(&quantity) {
        Ok(())
    } else {
        bad(format!("a quantity is between 1 and {LARGEST_QUANTITY}"))
    }
}

/// How many more or fewer are on the shelf.
pub(crate) fn delta(delta: i64) -> Checked<i64> {
    match delta {
        0 => bad("an adjustment of 0 changes nothing"),
        delta if delta.abs() <= LARGEST_INT => Ok(delta),
        _ => bad(format!("an adjustment is between -{LARGEST_INT} and {LARGEST_INT}")),
    }
}

/// A product's name.
pub(crate) fn name(name: &str) -> Checked<String> {
    text("a name", name, 1, 200)
}

/// A price: above zero, in a currency of three letters, which come back capital.
pub(crate) fn price(price: &Money) -> Checked<Money> {
    if !(1..=LARGEST_INT).contains(&price.amount) {
        return bad(format!("an amount is between 1 and {LARGEST_INT} minor units"));
    }
    if price.currency.len() != 3 || !price.currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return bad("a currency is a code of three letters, such as GBP");
    }
    Ok(Money { amount: price.amount, currency: price.currency.to_ascii_uppercase() })
}

/// An email address, lower-cased. The shape only: whether it is somebody's, only
/// a message to it would tell.
pub(crate) fn email(email: &str) -> Checked<String> {
    let email = email.trim().to_lowercase();
    let shaped = email.split_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && !local.chars().any(|c| c.is_whitespace() || is_control(c) || "\"<>(),:;[]\\".contains(c))
            && domain.contains('.')
            && domain
                .split('.')
                .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
    });
    if shaped && email.len() <= 254 { Ok(email) } else { bad("that is no email address") }
}

/// A new password. Any characters but control characters; not trimmed.
pub(crate) fn password(password: &str) -> Checked<()> {
    if password.chars().any(is_control) {
        return bad("a password contains no control characters");
    }
    if (7..=200).contains(&password.chars().count()) { Ok(()) } else { bad("a password has 7 to 200 characters") }
}

/// A client's idempotency key. Not trimmed: two keys are one only if equal.
pub(crate) fn idempotency_key(key: &str) -> Checked<&str> {
    if (1..=128).contains(&key.chars().count()) && !key.chars().any(is_control) {
        Ok(key)
    } else {
        bad("an idempotency key is 1 to 128 printable characters")
    }
}

/// An address; only the postal code may be empty.
pub(crate) fn address(address: &Address) -> Checked<Address> {
    Ok(Address {
        recipient: text("an address's recipient", &address.recipient, 1, 200)?,
        street: text("an address's street", &address.street, 1, 200)?,
        city: text("an address's city", &address.city, 1, 100)?,
        postal_code: text("an address's postal code", &address.postal_code, 0, 20)?,
        country: text("an address's country", &address.country, 1, 100)?,
    })
}

/// For whom an operator places an order: as long as an email may be if it is one.
pub(crate) fn customer(customer: &str) -> Checked<String> {
    let most = if customer.contains('@') { 254 } else { 64 };
    text("a customer", customer, 1, most)
}

/// A card number's shape; what it means is the bank's business. Spaces and dashes
/// between the digits are left out.
pub(crate) fn card_number(number: &str) -> Checked<String> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits)
    } else {
        bad("a card number has 12 to 19 digits")
    }
}

/// An id or a cursor that a caller gives back to us; opaque, so only bounded.
pub(crate) fn opaque<'a>(what: &str, text: &'a str) -> Checked<&'a str> {
    if (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        bad(format!("that is no {what}"))
    }
}

/// Words to look for. Empty finds everything.
pub(crate) fn search(search: Option<&str>) -> Checked<String> {
    text("a search", search.unwrap_or_default(), 0, 100)
}

/// How many rows.
pub(crate) fn first(first: i32) -> Checked<i32> {
    if (1..=LARGEST_PAGE).contains(&first) { Ok(first) } else { bad(format!("first is between 1 and {LARGEST_PAGE}")) }
}

/// How many windows.
pub(crate) fn windows(first: i32) -> Checked<i32> {
    if (1..=MOST_WINDOWS).contains(&first) { Ok(first) } else { bad(format!("first is between 1 and {MOST_WINDOWS}")) }
}

/// A moment, Unix milliseconds: from 1970 to the year 9999.
pub(crate) fn moment(millis: i64) -> Checked<i64> {
    if (0..=253_402_300_799_999).contains(&millis) { Ok(millis) } else { bad("a moment is between 1970 and 9999") }
}

/// How many things one question may ask for.
pub(crate) fn batch(count: usize, most: usize) -> Checked<()> {
    if count <= most { Ok(()) } else { bad(format!("at most {most} at once")) }
}

/// Why, in the customer's words. Empty is no reason given.
pub(crate) fn reason(reason: Option<&str>) -> Checked<String> {
    text("a reason", reason.unwrap_or_default(), 0, 200)
}

/// The version a reader wants to see.
pub(crate) fn version(version: i64) -> Checked<i64> {
    if version >= 0 { Ok(version) } else { bad("a version is 0 or more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i64) -> LineRequest {
        LineRequest { sku: sku.into(), quantity }
    }

    #[test]
    fn a_sku_is_upper_cased_and_of_a_narrow_alphabet() {
        assert_eq!(sku(" 85123a "), Ok("85123A".into()));
        assert_eq!(sku("a-b_c.d/e"), Ok("A-B_C.D/E".into()));
        let long = "A".repeat(65);
        for wrong in ["", " ", "A B", "Ä", "A\0", "A'--", "<b>", "A\nB", long.as_str()] {
            assert!(sku(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_sku_is_no_way_to_another_page() {
        for wrong in [".", "..", "A/../B", "A/./B", "../A", "A/..", "./A", "%2e%2e", "A\\..\\B"] {
            assert!(sku(wrong).is_err(), "{wrong:?}");
        }
        for right in ["A.", ".A", "...", "A..B", "A/B.C", "-", "A/...", "1.5", "A//B"] {
            assert!(sku(right).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn lines_of_one_sku_are_added_up_in_the_order_of_their_first() {
        let merged = lines(&[line("b", 1), line("a", 2), line("B", 3)]);
        assert_eq!(merged, Ok(vec![line("B", 4), line("A", 2)]));
    }

    #[test]
    fn quantities_and_their_sum_have_bounds() {
        for wrong in [0, -1, 1_000_001, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            assert!(lines(&[line("A", wrong)]).is_err(), "{wrong}");
        }
        assert!(lines(&[line("A", 1_000_000)]).is_ok());
        assert!(lines(&[line("A", 1_000_000), line("a", 1)]).is_err());
    }

    #[test]
    fn an_order_has_between_one_and_five_hundred_lines() {
        let many = |count| (0..count).map(|n| line(&format!("S{n}"), 1)).collect::<Vec<_>>();
        assert!(lines(&many(0)).is_err());
        assert!(lines(&many(500)).is_ok());
        assert!(lines(&many(501)).is_err());
        assert!(lines(&vec![line("A", 1); 501]).is_err(), "also if they would merge");
    }

    #[test]
    fn names_are_trimmed_and_carry_no_control_characters() {
        assert_eq!(name("  WHITE HANGING HEART  "), Ok("WHITE HANGING HEART".into()));
        assert_eq!(name("<b>'; DROP TABLE x; --"), Ok("<b>'; DROP TABLE x; --".into()), "is text and stays text");
        let long = "ä".repeat(201);
        for wrong in ["", "   ", "a\0b", "a\nb", "a\u{202e}b", "\u{7f}", long.as_str()] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        assert!(name(&"ä".repeat(200)).is_ok());
    }

    #[test]
    fn a_price_is_above_zero_and_within_an_int() {
        let money = |amount, currency: &str| Money { amount, currency: currency.into() };
        assert_eq!(price(&money(1, "gbp")), Ok(money(1, "GBP")));
        assert!(price(&money(LARGEST_INT, "GBP")).is_ok());
        for wrong in [money(0, "GBP"), money(-1, "GBP"), money(LARGEST_INT + 1, "GBP"), money(1, "£"), money(1, "GB1")]
        {
            assert!(price(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_email_has_a_shape() {
        assert_eq!(email(" Ada@Example.COM "), Ok("ada@example.com".into()));
        let long = format!("{}@example.com", "a".repeat(65));
        let wrong = ["", "ada", "@example.com", "ada@", "ada@com", "a b@example.com", "ada@exa mple.com", "ada@.com"];
        for wrong in wrong.into_iter().chain(["a@b@c.d", "a\0@b.cd", "<a>@b.cd", long.as_str()]) {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn passwords_and_keys_have_bounds() {
        assert!(password("orderly").is_ok());
        assert!(password("      ").is_err());
        assert!(password(&"a".repeat(201)).is_err());
        assert!(password("orderly\0").is_err());
        assert!(idempotency_key("536365").is_ok());
        for wrong in ["", "a\nb", "\0"] {
            assert!(idempotency_key(wrong).is_err(), "{wrong:?}");
        }
        assert!(idempotency_key(&"k".repeat(129)).is_err());
    }

    #[test]
    fn a_card_number_is_digits_however_they_are_grouped() {
        assert_eq!(card_number("4242 4242-4242 4242"), Ok("4242424242424242".into()));
        for wrong in ["", "4242", "4242 4242 4242 424x", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"] {
            assert!(card_number(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_from_outside_have_bounds() {
        for wrong in [0, -1, 101, i32::MIN, i32::MAX] {
            assert!(first(wrong).is_err(), "{wrong}");
        }
        for wrong in [0, LARGEST_INT + 1, -LARGEST_INT - 1] {
            assert!(delta(wrong).is_err(), "{wrong}");
        }
        assert!(version(-1).is_err());
    }

    #[test]
    fn an_error_never_repeats_what_was_sent() {
        let script = "<script>alert(1)</script>";
        for message in [sku(script), email(script), card_number(script)].into_iter().filter_map(Result::err) {
            assert!(!message.message.contains("script"), "{message}");
        }
    }
}
