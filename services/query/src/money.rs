//! Money for people: minor units to text, by ISO 4217.

use contracts::common::Money;

/// How an amount reads: 1250 GBP is "£12.50", 1250 JPY "¥1,250", 1250 CHF "CHF 12.50"
/// with a space that does not break.
pub(crate) fn format(money: Option<Money>) -> String {
    let Money { amount, currency } = money.unwrap_or_default();
    let digits = minor_digits(&currency);
    let unit = 10_u64.pow(digits);
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    let sign = if amount < 0 { "−" } else { "" };
    let symbol = match currency.as_str() {
        "GBP" => "£".to_owned(),
        "EUR" => "€".to_owned(),
        "USD" => "$".to_owned(),
        "JPY" => "¥".to_owned(),
        other => format!("{other}\u{a0}"),
    };
    let fraction = if digits == 0 { String::new() } else { format!(".{rest:0width$}", width = digits as usize) };
    format!("{sign}{symbol}{}{fraction}", grouped(whole))
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

/// Thousands apart: 1234567 is "1,234,567".
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
    use super::*;

    fn reads(amount: i64, currency: &str) -> String {
        format(Some(Money { amount, currency: currency.to_owned() }))
    }

    #[test]
    fn money_reads_as_its_currency_writes_it() {
        assert_eq!(reads(5, "GBP"), "£0.05");
        assert_eq!(reads(3_650, "GBP"), "£36.50");
        assert_eq!(reads(123_456_789, "EUR"), "€1,234,567.89");
        assert_eq!(reads(1_250, "JPY"), "¥1,250");
        assert_eq!(reads(1, "KWD"), "KWD\u{a0}0.001");
        assert_eq!(reads(i64::MIN, "USD"), "−$92,233,720,368,547,758.08");
    }
}
