//! What the inventory service hears: the saga's commands.

use contracts::common::LineRequest;
use contracts::inventory::{CommitStock, ReleaseStock, ReserveStock};
use platform::message::{Envelope, Malformed};
use platform::service::Heard;

use crate::Input;
use crate::domain::{Line, Request};

/// Translates a message heard on `orderly.inventory.commands`.
pub(crate) fn hear(message: &Envelope) -> Result<Heard<Input>, Malformed> {
    let request = match message.kind.as_str() {
        "orderly.inventory.v1.ReserveStock" => on_reserve_stock(message.payload()?)?,
        "orderly.inventory.v1.ReleaseStock" => on_release_stock(message.payload()?),
        "orderly.inventory.v1.CommitStock" => on_commit_stock(message.payload()?),
        _ => return Ok(Heard::Ignored),
    };
    Ok(Heard::Input(Input::Request { order_id: message.subject.clone(), request }))
}

fn on_reserve_stock(command: ReserveStock) -> Result<Request, Malformed> {
    if command.lines.is_empty() || command.lines.iter().any(|line| line.quantity < 1) {
        return Err(Malformed("a reservation of nothing".to_owned()));
    }
    Ok(Request::Reserve(
        command.lines.into_iter().map(|LineRequest { sku, quantity }| Line { sku, quantity }).collect(),
    ))
}

fn on_release_stock(_: ReleaseStock) -> Request {
    Request::Release
}

fn on_commit_stock(_: CommitStock) -> Request {
    Request::Commit
}
