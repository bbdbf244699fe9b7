//! One cell's text -> one value: invoice number, SKU, quantity, date, price, customer, name.
//!
//! Pure functions without a panic for any text. Each error is one sentence for the
//! person who will mend the file; the texts quoted in it are escaped and cut.

use chrono::{NaiveDate, NaiveDateTime};

/// The customer of a sale whose buyer nobody wrote down.
pub(crate) const GUEST: &str = "guest";

/// The largest amount, quantity and stock change that GraphQL's `Int` carries.
pub(crate) const MAX_INT: i64 = i32::MAX as i64;

/// The longest key (invoice number, SKU, customer) taken, in bytes.
const MAX_KEY: usize = 64;

/// The longest product name kept, in characters.
const MAX_NAME: usize = 200;

/// Stock codes of the data set that are charges, corrections and paper, not goods:
/// postage, carriage, discounts, manual entries, samples, bank and marketplace fees,
/// a charity's commission, bad debt, cushion pads given away, a voucher under a
/// common number (22016), next day carriage (23444).
const NOT_PRODUCTS: &[&str] = &[
    "22016",
    "23444",
    "AMAZONFEE",
    "B",
    "BANK CHARGES",
    "C2",
    "C3",
    "CARRIAGE",
    "CRUK",
    "D",
    "DOT",
    "GIFT",
    "M",
    "PADS",
    "POST",
    "S",
];

/// Beginnings of such codes: `gift_0001_20` (vouchers), `TEST001`, `ADJUST2`.
const NOT_PRODUCT_PREFIXES: &[&str] = &["ADJUST", "GIFT_", "TEST"];

/// Whole descriptions that are a stock-keeper's note in place of the name.
const NOTES: &[&str] = &[
    "adjust",
    "adjustment",
    "amazon",
    "amazon sales",
    "breakages",
    "broken",
    "check",
    "counted",
    "cracked",
    "crushed",
    "damaged",
    "damages",
    "display",
    "dotcom",
    "dotcom sales",
    "ebay",
    "faulty",
    "fba",
    "found",
    "lost",
    "manual",
    "mia",
    "missing",
    "mouldy",
    "returned",
    "sale error",
    "samples",
    "showroom",
    "smashed",
    "test",
    "thrown away",
    "wet",
    "wrong code",
];

/// What an invoice number says about its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invoice {
    /// A sale.
    Sale(String),
    /// `C…`: an earlier sale taken back.
    Cancellation(String),
    /// `A…`: a bookkeeping entry (bad debt written off).
    Adjustment(String),
}

/// An invoice number, upper-cased; `536365.0` is `536365`.
///
/// # Errors
/// Empty, too long, or other than ASCII letters, digits and `-`.
pub(crate) fn invoice(text: &str) -> Result<Invoice, String> {
    let number = without_fraction(text.trim()).to_ascii_uppercase();
    key(&number, "invoice number", |c| c == '-')?;
    let numbered = number[1..].starts_with(|c: char| c.is_ascii_digit());
    Ok(match number.as_bytes()[0] {
        b'C' if numbered => Invoice::Cancellation(number),
        b'A' if numbered => Invoice::Adjustment(number),
        _ => Invoice::Sale(number),
    })
}

/// Whether a stock code is a charge or a correction, not goods for sale.
pub(crate) fn is_not_a_product(sku: &str) -> bool {
    NOT_PRODUCTS.contains(&sku) || NOT_PRODUCT_PREFIXES.iter().any(|p| sku.starts_with(p))
}

/// A stock code, trimmed and upper-cased.
///
/// # Errors
/// Empty, too long, or with a character that no SKU has.
pub(crate) fn sku(text: &str) -> Result<String, String> {
    let sku = text.trim().to_ascii_uppercase();
    if is_not_a_product(&sku) {
        return Ok(sku);
    }
    key(&sku, "stock code", |c| "-_./".contains(c))?;
    Ok(sku)
}

/// A whole number from 1 to 2,147,483,647; `6.0` is 6.
///
/// # Errors
/// Anything else.
pub(crate) fn quantity(text: &str) -> Result<i64, String> {
    match whole(text)? {
        number if number < 1 => Err(format!("the quantity {} is below 1", cut(text.trim()))),
        number if number <= MAX_INT => Ok(number),
        _ => Err(format!("the quantity {} is more than {MAX_INT}", cut(text.trim()))),
    }
}

/// How many pieces a row of a `C…` invoice takes back: its quantity is a whole number
/// from -2,147,483,647 to -1, and `-6.0` are 6 pieces.
///
/// # Errors
/// Anything else; what takes nothing back, or sells, is no row of a cancellation.
pub(crate) fn pieces_back(text: &str) -> Result<i64, String> {
    match whole(text)? {
        number if number > -1 => Err(format!("the quantity {} of a cancellation is not below 0", cut(text.trim()))),
        number if number >= -MAX_INT => Ok(-number),
        _ => Err(format!("the quantity {} is less than -{MAX_INT}", cut(text.trim()))),
    }
}

/// A whole number; one beyond 64 bits is the largest or the smallest of them.
fn whole(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let digits = without_fraction(text);
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{} is not a whole number", shown(text)));
    }
    let beyond = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(digits.parse().unwrap_or(beyond))
}

/// A decimal price in minor units, exactly: no floating point. More than two decimals
/// are rounded half up, `1.005` is 101, but what is under one minor unit as it stands
/// (`0.0099`) is refused and not rounded up to one.
///
/// # Errors
/// No plain decimal number, negative, less than one minor unit, or more
/// than 2,147,483,647 minor units.
pub(crate) fn price(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !plain(whole) || !plain(fraction) {
        return Err(format!("{} is not a decimal number", shown(text)));
    }
    if negative {
        return Err(format!("the price {} is negative", cut(text)));
    }
    let mut fraction = fraction.bytes().map(|b| i64::from(b - b'0'));
    let mut digit = || fraction.next().unwrap_or(0);
    let (tenths, hundredths, next) = (digit(), digit(), digit());
    let whole = whole.trim_start_matches('0');
    if whole.is_empty() && tenths * 10 + hundredths == 0 {
        return Err(format!("the price {} is less than one minor unit", cut(text)));
    }
    let minor = tenths * 10 + hundredths + i64::from(next >= 5);
    let amount = if whole.is_empty() {
        Some(minor)
    } else {
        let units: Option<i64> = whole.parse().ok();
        units.and_then(|u| u.checked_mul(100)).and_then(|u| u.checked_add(minor))
    };
    match amount {
        Some(amount) if amount <= MAX_INT => Ok(amount),
        _ => Err(format!("the price {} is more than {MAX_INT} minor units", cut(text))),
    }
}

/// A time in one of three forms: `2010-12-01 08:26:00`, and with the month first
/// `12/1/2010 8:26` and `12/1/10 8:26`. Seconds may be missing.
///
/// # Errors
/// Another form, or a day that the calendar has not.
pub(crate) fn date(text: &str) -> Result<NaiveDateTime, String> {
    read_date(text.trim())
        .ok_or_else(|| format!("{} is no date like 2010-12-01 08:26:00 or 12/1/2010 8:26", shown(text.trim())))
}

/// A customer's number as text: `17850.0` is `17850`; nothing and `0.0` are [`GUEST`].
///
/// # Errors
/// Too long, or with a character that no customer number has.
pub(crate) fn customer(text: &str) -> Result<String, String> {
    let customer = without_fraction(text.trim());
    if customer.bytes().all(|b| b == b'0') || customer.eq_ignore_ascii_case("nan") {
        return Ok(GUEST.to_owned());
    }
    key(customer, "customer", |c| "-_.@".contains(c))?;
    Ok(customer.to_owned())
}

/// A description for people: control characters become spaces, runs of white space
/// one, and what exceeds 200 characters is cut. May be empty.
pub(crate) fn name(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(MAX_NAME).collect()
}

/// Whether a cleaned description names the product. The stock-keepers of the data set
/// also wrote their notes there: `?`, `damaged`, `wrongly marked carton 22804`. A name
/// has a capital letter and no question mark and is none of the known notes.
pub(crate) fn is_sensible(name: &str) -> bool {
    name.chars().any(char::is_uppercase)
        && name.chars().count() >= 3
        && !name.contains('?')
        && !NOTES.iter().any(|note| name.eq_ignore_ascii_case(note))
}

/// A text of the file as an error may quote it: escaped, and cut at 40 characters.
pub(crate) fn shown(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// The same for a text that is known to be digits and signs.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

fn key(text: &str, what: &str, also: fn(char) -> bool) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("the {what} is missing"));
    }
    if text.len() > MAX_KEY {
        return Err(format!("the {what} {} is longer than {MAX_KEY}", shown(text)));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !also(*c)) {
        Some(strange) => Err(format!("the {what} {} has {strange:?} in it", shown(text))),
        None => Ok(()),
    }
}

/// `17850.0` -> `17850`: spreadsheets write whole numbers that way.
fn without_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros))
            if !zeros.is_empty()
                && zeros.bytes().all(|b| b == b'0')
                && whole.ends_with(|c: char| c.is_ascii_digit()) =>
        {
            whole
        }
        _ => text,
    }
}

fn read_date(text: &str) -> Option<NaiveDateTime> {
    let (day, time) = text.split_once([' ', 'T'])?;
    let date = if day.contains('-') {
        let [year, month, day] = parts(day, '-')?;
        NaiveDate::from_ymd_opt(four_digits(year)?, number(month)?, number(day)?)
    } else {
        let [month, day, year] = parts(day, '/')?;
        let year = match year.len() {
            2 => 2000 + i32::try_from(number(year)?).ok()?,
            _ => four_digits(year)?,
        };
        NaiveDate::from_ymd_opt(year, number(month)?, number(day)?)
    };
    let mut clock = time.trim_start().split(':');
    let (hour, minute) = (number(clock.next()?)?, number(clock.next()?)?);
    let second = clock.next().map_or(Some(0), number)?;
    match clock.next() {
        None => date?.and_hms_opt(hour, minute, second),
        Some(_) => None,
    }
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn number(text: &str) -> Option<u32> {
    let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn four_digits(text: &str) -> Option<i32> {
    let plain = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
