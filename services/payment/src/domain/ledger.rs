//! The **double-entry ledger**: what each event of a payment posts.
//!
//! Money is never made or lost, only moved: every entry has postings in two or
//! more accounts, a debit above zero and a credit below, and they sum to zero. So
//! a wrong sum is always a fault, and it can be found without knowing what
//! happened. The chart of accounts is small:
//!
//! | account | a debit balance means |
//! |---|---|
//! | `bank:holds` | the bank holds so much for us, not ours yet |
//! | `customer:<order>` | (credit) the customer has promised so much for this order |
//! | `bank:settled` | the bank owes us so much |
//! | `shop:revenue` | (credit) the shop has sold for so much |
//! | `shop:refunds` | of that, so much was given back |
//!
//! An authorisation books the promise, a void books it back, and a capture books
//! it back and the sale in its stead, all in one entry. A refund takes from what the
//! bank owes us and leaves the revenue as it was: what was sold stays readable, and
//! what was given back stands in a *contra account* beside it. The two together are
//! what was earned. A decline moves nothing, and neither does a capture that was
//! refused: its hold stays booked until the void.

use std::borrow::Cow;

use super::{Event, Hold, Money};

/// What the bank holds for us.
pub const BANK_HOLDS: &str = "bank:holds";
/// What the bank owes us.
pub const BANK_SETTLED: &str = "bank:settled";
/// What the shop has sold.
pub const SHOP_REVENUE: &str = "shop:revenue";
/// What the shop has given back.
pub const SHOP_REFUNDS: &str = "shop:refunds";

/// Postings that belong together and sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `<order>/<attempt>/<what>`, where what is `hold`, `release`, `capture` or
    /// `refund-<n>`: there can be only one such.
    pub id: String,
    /// ISO 4217, one for all postings.
    pub currency: String,
    /// In at least two accounts, none twice.
    pub postings: Vec<Posting>,
}

/// One account's part in an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Of the chart above.
    pub account: Cow<'static, str>,
    /// Minor units; a debit above zero, a credit below.
    pub amount: i64,
}

/// What an event posts, if it moves money.
pub fn entry(order_id: &str, attempt: i32, event: &Event) -> Option<Entry> {
    let entry = |what: &str, money: &Money, postings| {
        let id = format!("{order_id}/{attempt}/{what}");
        Some(Entry { id, currency: money.currency.clone(), postings })
    };
    match event {
        Event::Authorised(Hold { offer, .. }) => entry("hold", &offer.amount, authorised(order_id, &offer.amount)),
        Event::Voided(Some(Hold { offer, .. })) => entry("release", &offer.amount, voided(order_id, &offer.amount)),
        Event::Captured(Hold { offer, .. }) => entry("capture", &offer.amount, captured(order_id, &offer.amount)),
        Event::Refunded { refund, .. } => {
            entry(&format!("refund-{}", refund.number), &refund.amount, refunded(&refund.amount))
        }
        Event::Declined(_) | Event::CaptureRefused { .. } | Event::Voided(None) => None,
    }
}

fn authorised(order_id: &str, money: &Money) -> Vec<Posting> {
    vec![posting(BANK_HOLDS, money.amount), promise(order_id, -money.amount)]
}

fn voided(order_id: &str, money: &Money) -> Vec<Posting> {
    vec![posting(BANK_HOLDS, -money.amount), promise(order_id, money.amount)]
}

fn captured(order_id: &str, money: &Money) -> Vec<Posting> {
    let mut postings = voided(order_id, money);
    postings.extend([posting(BANK_SETTLED, money.amount), posting(SHOP_REVENUE, -money.amount)]);
    postings
}

fn refunded(money: &Money) -> Vec<Posting> {
    vec![posting(BANK_SETTLED, -money.amount), posting(SHOP_REFUNDS, money.amount)]
}

const fn posting(account: &'static str, amount: i64) -> Posting {
    Posting { account: Cow::Borrowed(account), amount }
}

fn promise(order_id: &str, amount: i64) -> Posting {
    Posting { account: Cow::Owned(format!("customer:{order_id}")), amount }
}
