//! What the inventory service hears: the saga's commands.

use contracts::common::LineRequest;
use contracts::inventory::{CommitStock, ReleaseStock, ReserveStock, ReturnStock};
use platform::message::{Envelope, Malformed};
use platform::service::Heard;

use crate::Input;
use crate::domain::{Line, Request};

/// Translates a message heard on `orderly.inventory.commands`.
///
/// # Errors
/// Something that nobody could ever obey.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let request = match message.kind.as_str() {
        "orderly.inventory.v1.ReserveStock" => on_reserve_stock(message.payload()?)?,
        "orderly.inventory.v1.ReleaseStock" => on_release_stock(message.payload()?),
        "orderly.inventory.v1.CommitStock" => on_commit_stock(message.payload()?),
        "orderly.inventory.v1.ReturnStock" => on_return_stock(message.payload()?)?,
        _ => return Ok(Heard::Ignored),
    };
    Ok(Heard::Input(Input::Request { order_id: message.subject.clone(), request }))
}

fn on_reserve_stock(command: ReserveStock) -> Result<Request, Malformed> {
    Ok(Request::Reserve(lines("a reservation", command.lines)?))
}

fn on_release_stock(_: ReleaseStock) -> Request {
    Request::Release
}

fn on_commit_stock(_: CommitStock) -> Request {
    Request::Commit
}

fn on_return_stock(command: ReturnStock) -> Result<Request, Malformed> {
    let ReturnStock { refund, lines: returned } = command;
    if refund < 1 {
        return Err(Malformed(format!("refunds count from 1, not {refund}")));
    }
    Ok(Request::Return { refund, lines: lines("a return", returned)? })
}

fn lines(of: &str, lines: Vec<LineRequest>) -> Result<Vec<Line>, Malformed> {
    if lines.is_empty() || lines.iter().any(|line| line.quantity < 1) {
        return Err(Malformed(format!("{of} of nothing")));
    }
    Ok(lines.into_iter().map(|LineRequest { sku, quantity }| Line { sku, quantity }).collect())
}
