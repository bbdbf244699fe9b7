//! Fields of forms and queries: `application/x-www-form-urlencoded`, read strictly.
//!
//! What a page needs is asked for by name and kind, and each kind is checked in one place: UTF-8,
//! no control characters (a NUL would fail a whole batch in a store), bounded length, quantities
//! from 1 to 999. A wrong field is the visitor's mistake (400), never ours (500).

use std::collections::BTreeMap;

use crate::cart::{MOST_OF_ONE, is_sku};
use crate::error::PageError;
use crate::url;

/// Longest single value, in characters.
const LONGEST_VALUE: usize = 4_000;
/// More fields than any form of ours has: the largest is the return of an order of 500 lines.
const MOST_FIELDS: usize = 520;

/// Values by name; of a name given twice, the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    values: BTreeMap<String, String>,
}

impl Fields {
    /// Reads an encoded body or query.
    ///
    /// # Errors
    /// 400: no UTF-8, broken escapes, control characters, too many or too long.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, PageError> {
        let not_ours = || PageError::bad_request("The form could not be read.");
        let text = std::str::from_utf8(encoded).map_err(|_| not_ours())?;
        let mut values = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |part: &str| url::decode(&part.replace('+', " ")).ok_or_else(not_ours);
            let (name, value) = (decoded(name)?, decoded(value)?);
            if value.chars().any(char::is_control) || value.chars().count() > LONGEST_VALUE {
                return Err(PageError::bad_request("A field holds characters that are not allowed, or too many."));
            }
            values.insert(name, value);
            if values.len() > MOST_FIELDS {
                return Err(not_ours());
            }
        }
        Ok(Self { values })
    }

    /// A value, without white space at its ends; `None` if absent or empty.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// As [`Self::optional`], bounded.
    ///
    /// # Errors
    /// 400: longer than `longest` characters.
    pub(crate) fn bounded(&self, name: &str, longest: usize) -> Result<Option<&str>, PageError> {
        match self.optional(name) {
            Some(value) if value.chars().count() > longest => Err(PageError::bad_request(format!(
                "The field \u{201c}{name}\u{201d} takes at most {longest} characters."
            ))),
            value => Ok(value),
        }
    }

    /// A value exactly as it was typed, empty if absent: for passwords.
    pub(crate) fn verbatim(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The values whose names begin so, each with the rest of its name; empty ones are left out.
    pub(crate) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let values = self.values.iter().map(|(name, value)| (name, value.trim()));
        values
            .filter(|(_, value)| !value.is_empty())
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }

    /// A SKU, as the shop writes it.
    ///
    /// # Errors
    /// 400: absent, or no SKU.
    pub(crate) fn sku(&self) -> Result<&str, PageError> {
        self.optional("sku")
            .filter(|sku| is_sku(sku))
            .ok_or_else(|| PageError::bad_request("The form names no product."))
    }

    /// A quantity of at least `least`, up to 999.
    ///
    /// # Errors
    /// What would be right, for the place beside the field: absent, no whole number, or out of range.
    pub(crate) fn quantity(&self, least: i64) -> Result<i64, String> {
        self.optional("quantity")
            .and_then(whole_number)
            .filter(|quantity| (least..=MOST_OF_ONE).contains(quantity))
            .ok_or_else(|| format!("Give a whole number from {least} to {MOST_OF_ONE}."))
    }
}

/// A number of plain digits, not above what an `i64` holds.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(encoded: &str) -> Fields {
        Fields::parse(encoded.as_bytes()).expect("well-formed")
    }

    #[test]
    fn fields_are_read_by_name_and_the_last_of_a_name_counts() {
        let fields = fields("q=tea+pot%21&empty=&blank=+&a=1&a=2&=x&flag");
        assert_eq!(fields.optional("q"), Some("tea pot!"));
        assert_eq!(fields.optional("empty"), None);
        assert_eq!(fields.optional("blank"), None);
        assert_eq!(fields.optional("a"), Some("2"));
        assert_eq!(fields.optional("absent"), None);
        assert_eq!(fields.verbatim("blank"), " ");
    }

    #[test]
    fn fields_of_a_kind_are_found_by_how_their_names_begin() {
        let fields = fields("quantity-A=1&quantity-B%2FC=+2+&quantity-D=&quantity=9&other=1");
        assert_eq!(fields.beginning("quantity-").collect::<Vec<_>>(), [("A", "1"), ("B/C", "2")]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bad in [&b"q=\xff"[..], b"q=%ff", b"q=%", b"q=%00", b"q=a%0Db", b"q=%7F"] {
            assert!(Fields::parse(bad).is_err(), "{bad:?}");
        }
        let many: String = (0..600).map(|n| format!("f{n}=1&")).collect();
        assert!(Fields::parse(many.as_bytes()).is_err());
        assert!(Fields::parse(format!("q={}", "a".repeat(4_001)).as_bytes()).is_err());
    }

    #[test]
    fn quantities_are_whole_numbers_from_1_to_999() {
        for (text, wanted) in [("1", 1), ("999", 999), ("007", 7)] {
            assert_eq!(fields(&format!("quantity={text}")).quantity(1).ok(), Some(wanted));
        }
        for bad in ["0", "-1", "1000", "2147483648", "1.5", "%2B1", "1e2", "", "one", "%D9%A3"] {
            assert!(fields(&format!("quantity={bad}")).quantity(1).is_err(), "{bad}");
        }
        assert_eq!(fields("quantity=0").quantity(0).ok(), Some(0));
    }

    #[test]
    fn a_form_without_a_product_is_refused() {
        assert!(fields("sku=").sku().is_err());
        assert!(fields(&format!("sku={}", "A".repeat(65))).sku().is_err());
        assert_eq!(fields("sku=+MUG-1+").sku().ok(), Some("MUG-1"));
    }
}
