//! Numbers for people: money, from minor units by ISO 4217, and plain counts. The same on a page, in a
//! timeline and in a mail.

/// How an amount reads: 1250 GBP is "£12.50", 1250 JPY "¥1,250", 1250 CHF "CHF 12.50" with a
/// space that does not break.
pub fn format(minor_units: i64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let unit = 10_u64.pow(digits);
    let amount = minor_units.unsigned_abs();
    let sign = if minor_units < 0 { "−" } else { "" };
    let whole = grouped(amount / unit);
    let fraction = match digits {
        0 => String::new(),
        digits => format!(".{:0width$}", amount % unit, width = digits as usize),
    };
    match symbol(currency) {
        Some(symbol) => format!("{sign}{symbol}{whole}{fraction}"),
        None => format!("{sign}{currency}\u{a0}{whole}{fraction}"),
    }
}

/// How many decimals the currency has; two, but for the exceptions of ISO 4217.
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

fn symbol(currency: &str) -> Option<&'static str> {
    match currency {
        "GBP" => Some("£"),
        "EUR" => Some("€"),
        "USD" => Some("$"),
        "JPY" => Some("¥"),
        _ => None,
    }
}

/// A count for people: 1234567 is "1,234,567".
pub fn count(number: i64) -> String {
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// Thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{count, format};

    #[test]
    fn amounts_read_as_their_currency_writes_them() {
        assert_eq!(format(1250, "GBP"), "£12.50");
        assert_eq!(format(5, "GBP"), "£0.05");
        assert_eq!(format(0, "EUR"), "€0.00");
        assert_eq!(format(123_456_789, "USD"), "$1,234,567.89");
        assert_eq!(format(1250, "JPY"), "¥1,250");
        assert_eq!(format(1250, "KWD"), "KWD\u{a0}1.250");
        assert_eq!(format(1250, "CHF"), "CHF\u{a0}12.50");
    }

    #[test]
    fn a_debt_has_its_sign_first_and_the_extremes_do_not_overflow() {
        assert_eq!(
            (count(0).as_str(), count(1_234_567).as_str(), count(-1_000).as_str()),
            ("0", "1,234,567", "−1,000")
        );
        assert_eq!(format(-99, "GBP"), "−£0.99");
        assert_eq!(format(i64::MIN, "GBP"), "−£92,233,720,368,547,758.08");
    }
}
