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
//!
//! An authorisation books the promise, a void books it back, and a capture books
//! it back and the sale in its stead, all in one entry. A decline moves nothing.

use super::{Event, Hold};

/// What the bank holds for us.
pub const BANK_HOLDS: &str = "bank:holds";
/// What the bank owes us.
pub const BANK_SETTLED: &str = "bank:settled";
/// What the shop has sold.
pub const SHOP_REVENUE: &str = "shop:revenue";

/// Postings that belong together and sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `<order>/<attempt>/<what>`: there can be only one such.
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
    pub account: String,
    /// Minor units; a debit above zero, a credit below.
    pub amount: i64,
}

/// What an event posts, if it moves money.
pub fn entry(order_id: &str, attempt: i32, event: &Event) -> Option<Entry> {
    match event {
        Event::Authorised(hold) => Some(post(order_id, attempt, "hold", hold, |amount| {
            vec![posting(BANK_HOLDS, amount), promise(order_id, -amount)]
        })),
        Event::Voided(Some(hold)) => Some(post(order_id, attempt, "release", hold, |amount| {
            vec![posting(BANK_HOLDS, -amount), promise(order_id, amount)]
        })),
        Event::Captured(hold) => Some(post(order_id, attempt, "capture", hold, |amount| {
            vec![
                posting(BANK_HOLDS, -amount),
                promise(order_id, amount),
                posting(BANK_SETTLED, amount),
                posting(SHOP_REVENUE, -amount),
            ]
        })),
        Event::Declined(_) | Event::Voided(None) => None,
    }
}

fn post(order_id: &str, attempt: i32, what: &str, hold: &Hold, postings: impl Fn(i64) -> Vec<Posting>) -> Entry {
    let money = &hold.offer.amount;
    Entry {
        id: format!("{order_id}/{attempt}/{what}"),
        currency: money.currency.clone(),
        postings: postings(money.amount),
    }
}

fn posting(account: &str, amount: i64) -> Posting {
    Posting { account: account.to_owned(), amount }
}

fn promise(order_id: &str, amount: i64) -> Posting {
    Posting { account: format!("customer:{order_id}"), amount }
}
