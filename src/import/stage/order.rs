//! An order on the stage: placed, confirmed, shipped, delivered, returned, as far as an
//! import can tell. It moves on when it is asked for, and what it shows lags behind.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A line, its price, and how many of it came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) price: i64,
    pub(crate) returned: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) customer: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) status: &'static str,
    version: i64,
    asked: u32,
    /// The next stage, unix milliseconds.
    fulfil_at: Option<i64>,
    unwinding: bool,
    /// What the read model still shows after a return.
    old_view: Option<Value>,
}

/// Why a return is refused: code and message.
pub(crate) type No = (&'static str, &'static str);

impl Order {
    pub(crate) fn new(customer: String, lines: Vec<Line>) -> Self {
        let (status, version) = ("PLACED", 1);
        Order { customer, lines, status, version, asked: 0, fulfil_at: None, unwinding: false, old_view: None }
    }

    /// Whether it asks for the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.customer == other.customer && self.wanted() == other.wanted()
    }

    pub(crate) fn wanted(&self) -> Vec<(String, i64)> {
        self.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect()
    }

    pub(crate) fn answer(&self) -> Value {
        let lines = self.lines.iter().map(|line| json!({ "sku": line.sku, "unitPrice": { "amount": line.price } }));
        json!({ "version": self.version, "lines": lines.collect::<Vec<_>>() })
    }

    /// Whether it is time to look whether the shelf has enough.
    pub(crate) fn is_undecided(&self) -> bool {
        self.status == "PLACED" && self.asked > 0
    }

    pub(crate) fn move_to(&mut self, status: &'static str, fulfil_at: Option<i64>) {
        (self.status, self.fulfil_at) = (status, fulfil_at);
        self.version += 1;
    }

    /// What the read model shows: nothing to the first question, the old after a return.
    pub(crate) fn view(&mut self) -> Value {
        self.asked += 1;
        if self.asked < 2 {
            return Value::Null;
        }
        if let Some(old) = self.old_view.take() {
            return old;
        }
        let now = Utc::now().timestamp_millis();
        let view = self.present();
        // The next question finds it further on.
        match self.status {
            _ if self.unwinding => {
                self.unwinding = false;
                let all = self.lines.iter().all(|line| line.returned == line.quantity);
                self.move_to(if all { "REFUNDED" } else { "DELIVERED" }, None);
            }
            "CONFIRMED" if self.fulfil_at.is_some_and(|at| at <= now) => self.move_to("SHIPPED", Some(now)),
            "SHIPPED" => self.move_to("DELIVERED", None),
            _ => {}
        }
        view
    }

    fn present(&self) -> Value {
        let fulfil_at = self.fulfil_at.and_then(DateTime::from_timestamp_millis).map(|at| at.to_rfc3339());
        json!({
            "version": self.version, "status": self.status, "unwinding": self.unwinding, "fulfilAt": fulfil_at,
            "statusReason": (self.status == "REJECTED").then_some("out of stock"),
        })
    }

    /// Takes lines back, all or none.
    pub(crate) fn take_back(&mut self, lines: &[(String, i64)]) -> Result<Value, No> {
        if self.unwinding {
            return Err(("CONFLICT", "a return of this order is already under way"));
        }
        if self.status != "DELIVERED" {
            return Err(("CONFLICT", "only what is delivered can be returned"));
        }
        let mut after = self.lines.clone();
        for (sku, quantity) in lines {
            let line = after.iter_mut().find(|line| line.sku == *sku).ok_or(("BAD_USER_INPUT", "not in it"))?;
            line.returned += quantity;
            if line.returned > line.quantity {
                return Err(("CONFLICT", "so many were not bought"));
            }
        }
        self.old_view = Some(self.present());
        self.lines = after;
        self.unwinding = true;
        self.version += 1;
        Ok(self.answer())
    }
}
