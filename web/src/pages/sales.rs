//! For operators: what was sold and given back, minute by minute.
//!
//! The windows are the read model's (tumbling, by the time of the events); here they only get
//! their bars. The page keeps itself up to date, with a script or without.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway::api::SalesMinute;
use platform::money;

use super::for_operators;
use crate::Shop;
use crate::error::PageError;
use crate::fields::whole_number;
use crate::form::Query;
use crate::layout::{Shell, page};
use crate::session::Visitor;
use crate::when;

/// Windows on a page.
const PAGE: usize = 60;
/// One more than is shown tells whether there are further ones.
const ASKED: i32 = 61;

/// One window.
struct MinuteView {
    time: String,
    time_machine: String,
    orders: String,
    pieces: String,
    revenue: String,
    /// `None` if nothing was given back.
    refunded: Option<String>,
    bars: Bars,
}

/// Lengths, in hundredths of the longest of their currency on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bars {
    revenue: i64,
    refunded: i64,
}

/// What the windows shown come to, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    currency: String,
    orders: i64,
    pieces: i64,
    revenue: i64,
    refunded: i64,
}

/// The same, for people.
struct SumView {
    orders: String,
    pieces: String,
    revenue: String,
    refunded: String,
}

#[derive(Template)]
#[template(path = "sales.html")]
struct SalesPage {
    shell: Shell,
    minutes: Vec<MinuteView>,
    sums: Vec<SumView>,
    /// Not the newest windows.
    further: bool,
    next: Option<String>,
    /// Whether the page keeps itself up to date.
    running: bool,
}

/// `GET /sales`: `?before=` (Unix milliseconds) goes on, `?still=1` stands still.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    for_operators(&visitor)?;
    let wrong = || PageError::bad_request("The address names no moment.");
    let before = query.optional("before").map(|text| whole_number(text).ok_or_else(wrong)).transpose()?;
    let mut windows = shop.api.sales(&visitor.caller, None, before, ASKED).await?;
    let next = cut(&mut windows).map(|before| format!("/sales?before={before}"));
    let sums = sums(&windows);
    let shown = SalesPage {
        shell: visitor.shell(),
        minutes: windows.iter().map(|window| minute(window, &windows)).collect(),
        sums: sums.iter().map(sum).collect(),
        further: before.is_some(),
        next,
        running: before.is_none() && query.optional("still").is_none(),
    };
    Ok(page(StatusCode::OK, &shown))
}

/// Leaves the windows of this page; where the next one begins, if there is one. A minute has a
/// window for each currency, and is not torn apart.
fn cut(windows: &mut Vec<SalesMinute>) -> Option<i64> {
    let first_not_shown = windows.get(PAGE)?.minute;
    let whole = windows.iter().take_while(|window| window.minute > first_not_shown).count();
    windows.truncate(if whole == 0 { PAGE } else { whole });
    windows.last().map(|window| window.minute)
}

fn minute(window: &SalesMinute, all: &[SalesMinute]) -> MinuteView {
    let currency = &window.revenue.currency;
    let same = all.iter().filter(|other| other.revenue.currency == *currency);
    let longest = same.map(|other| other.revenue.amount.max(other.refunded.amount)).max().unwrap_or(0).max(1);
    let hundredths = |amount: i64| i64::try_from(i128::from(amount.max(0)) * 100 / i128::from(longest)).unwrap_or(100);
    let begin = when::from_millis(window.minute);
    MinuteView {
        time: when::date_and_time(begin),
        time_machine: when::machine(begin),
        orders: money::count(window.orders),
        pieces: money::count(window.pieces),
        revenue: money::format(window.revenue.amount, currency),
        refunded: (window.refunded.amount != 0).then(|| money::format(window.refunded.amount, currency)),
        bars: Bars { revenue: hundredths(window.revenue.amount), refunded: hundredths(window.refunded.amount) },
    }
}

/// One sum for each currency, in the order in which they first come.
fn sums(windows: &[SalesMinute]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for window in windows {
        let currency = &window.revenue.currency;
        let at = sums.iter().position(|sum| sum.currency == *currency).unwrap_or_else(|| {
            sums.push(Sum { currency: currency.clone(), orders: 0, pieces: 0, revenue: 0, refunded: 0 });
            sums.len() - 1
        });
        let sum = &mut sums[at];
        sum.orders = sum.orders.saturating_add(window.orders);
        sum.pieces = sum.pieces.saturating_add(window.pieces);
        sum.revenue = sum.revenue.saturating_add(window.revenue.amount);
        sum.refunded = sum.refunded.saturating_add(window.refunded.amount);
    }
    sums
}

fn sum(sum: &Sum) -> SumView {
    SumView {
        orders: money::count(sum.orders),
        pieces: money::count(sum.pieces),
        revenue: money::format(sum.revenue, &sum.currency),
        refunded: money::format(sum.refunded, &sum.currency),
    }
}

#[cfg(test)]
mod tests {
    use gateway::api::Money;

    use super::*;

    fn window(minute: i64, currency: &str, revenue: i64, refunded: i64) -> SalesMinute {
        let money = |amount| Money { amount, currency: currency.to_owned() };
        SalesMinute {
            minute: minute * 60_000,
            orders: 2,
            pieces: 3,
            revenue: money(revenue),
            refunded: money(refunded),
        }
    }

    #[test]
    fn a_minute_in_two_currencies_is_not_torn_apart_by_the_end_of_a_page() {
        // The newest first; the last that fits and the first that does not are of one minute.
        let mut windows: Vec<_> = (0..59).map(|n| window(1_000 - n, "GBP", 1, 0)).collect();
        windows.extend([window(900, "EUR", 1, 0), window(900, "GBP", 1, 0)]);
        assert_eq!(cut(&mut windows), Some(942 * 60_000));
        assert_eq!(windows.len(), 59);
        assert_eq!(cut(&mut windows), None, "all of them fit");
        assert_eq!(windows.len(), 59);
    }

    #[test]
    fn a_page_of_a_single_minute_still_goes_on() {
        let mut windows: Vec<_> = (0..61).map(|_| window(900, "GBP", 1, 0)).collect();
        assert_eq!(cut(&mut windows), Some(900 * 60_000));
        assert_eq!(windows.len(), PAGE);
    }

    #[test]
    fn bars_are_measured_by_the_longest_of_their_currency() {
        let windows = [window(3, "GBP", 1_000, 0), window(2, "GBP", 250, 500), window(1, "JPY", 70_000, 0)];
        let bars: Vec<_> =
            windows.iter().map(|one| minute(one, &windows).bars).map(|b| (b.revenue, b.refunded)).collect();
        assert_eq!(bars, [(100, 0), (25, 50), (100, 0)]);
        let nothing = [window(1, "GBP", 0, 0)];
        assert_eq!(minute(&nothing[0], &nothing).bars, Bars { revenue: 0, refunded: 0 });
    }

    #[test]
    fn sums_are_made_for_each_currency_alone() {
        let windows = [window(3, "GBP", 1_000, 0), window(2, "EUR", 250, 50), window(1, "GBP", 5, 10)];
        let sums: Vec<_> =
            sums(&windows).into_iter().map(|sum| (sum.currency, sum.orders, sum.revenue, sum.refunded)).collect();
        assert_eq!(sums, [("GBP".to_owned(), 4, 1_005, 10), ("EUR".to_owned(), 2, 250, 50)]);
    }
}
