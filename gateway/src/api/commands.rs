//! The commands: checked, given their command id, and sent to the owning service.

use contracts::common::Card;
use contracts::inventory::{AdjustStockRequest, UpsertProductRequest};
use contracts::notification::{GetPreferenceRequest, SetPreferenceRequest};
use contracts::order::{CancelOrderRequest, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest};
use contracts::payment::TokenizeCardRequest;
use platform::message::fresh_id;

use super::{
    Account, AdjustStock, Api, ApiError, Caller, CancelOrder, CardNumber, MailPreference, Order, PayOrder, PlaceOrder,
    Product, ReturnOrder, UpsertProduct, answer, logged_in, operator, request, validate,
};

impl Api {
    /// Places an order; answers when the order service has committed it. A
    /// shortage or a decline shows in the order's status later.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT`, `FORBIDDEN` (a `customer` by a
    /// customer), `NOT_FOUND` (a SKU), `CONFLICT` (a key used for something
    /// else), `OVERLOADED`, `UNAVAILABLE`.
    pub async fn place_order(&self, caller: &Caller, command: PlaceOrder) -> Result<Order, ApiError> {
        let account = logged_in(caller)?;
        let command_id = command_id(account, "placeOrder", command.idempotency_key.as_deref())?;
        let lines = validate::lines(&command.lines)?;
        let address = command.address.as_ref().map(validate::address).transpose()?;
        let (customer_id, customer_email) = match command.customer.as_deref() {
            None => (account.id.clone(), account.email.clone()),
            Some(customer) => {
                operator(caller)?;
                self.customer(customer).await?
            }
        };
        let card = match &command.card {
            Some(number) => Some(self.tokenize(caller, number).await?),
            None => None,
        };
        let asked = PlaceOrderRequest {
            command_id,
            customer_id,
            customer_email,
            lines: lines.into_iter().map(Into::into).collect(),
            card,
            address: address.map(Into::into),
        };
        answer(self.orders.clone().place_order(request(caller, asked)?)).await?.try_into()
    }

    /// Offers a card for an order that awaits its payment.
    ///
    /// # Errors
    /// As [`place_order`](Self::place_order); `NOT_FOUND` for somebody else's
    /// order; `CONFLICT` if the order does not wait for a card now.
    pub async fn pay_order(&self, caller: &Caller, command: PayOrder) -> Result<Order, ApiError> {
        let account = logged_in(caller)?;
        let command_id = command_id(account, "payOrder", command.idempotency_key.as_deref())?;
        let order_id = validate::opaque("order id", &command.order_id)?.to_owned();
        let card = self.tokenize(caller, &command.card).await?;
        let asked = PayOrderRequest { command_id, order_id, card: Some(card) };
        answer(self.orders.clone().pay_order(request(caller, asked)?)).await?.try_into()
    }

    /// Calls an order off: ends it at once, or has its money and goods sent back.
    /// One that is called off already is answered as it is.
    ///
    /// # Errors
    /// As [`pay_order`](Self::pay_order); `CONFLICT` if it is too late.
    pub async fn cancel_order(&self, caller: &Caller, command: CancelOrder) -> Result<Order, ApiError> {
        let account = logged_in(caller)?;
        let asked = CancelOrderRequest {
            command_id: command_id(account, "cancelOrder", command.idempotency_key.as_deref())?,
            order_id: validate::opaque("order id", &command.order_id)?.to_owned(),
            reason: validate::reason(command.reason.as_deref())?,
        };
        answer(self.orders.clone().cancel_order(request(caller, asked)?)).await?.try_into()
    }

    /// Takes goods of a delivered order back and refunds them.
    ///
    /// # Errors
    /// As [`pay_order`](Self::pay_order); `CONFLICT` if it was not delivered, while
    /// another return is under way, and for more than was bought.
    pub async fn return_order(&self, caller: &Caller, command: ReturnOrder) -> Result<Order, ApiError> {
        let account = logged_in(caller)?;
        let lines = command.lines.as_deref().map(validate::lines).transpose()?.unwrap_or_default();
        let asked = ReturnOrderRequest {
            command_id: command_id(account, "returnOrder", command.idempotency_key.as_deref())?,
            order_id: validate::opaque("order id", &command.order_id)?.to_owned(),
            lines: lines.into_iter().map(Into::into).collect(),
            reason: validate::reason(command.reason.as_deref())?,
        };
        answer(self.orders.clone().return_order(request(caller, asked)?)).await?.try_into()
    }

    /// Which messages the caller also wants by mail.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `UNAVAILABLE`.
    pub async fn mail_preference(&self, caller: &Caller) -> Result<MailPreference, ApiError> {
        let asked = GetPreferenceRequest { customer_id: logged_in(caller)?.id.clone() };
        let found = answer(self.notifications.clone().get_preference(request(caller, asked)?)).await?;
        found.mail().try_into()
    }

    /// Chooses which messages the caller also wants by mail.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `BAD_USER_INPUT` (the key), `CONFLICT` (a key used for
    /// something else), `OVERLOADED`, `UNAVAILABLE`.
    pub async fn set_mail_preference(
        &self,
        caller: &Caller,
        preference: MailPreference,
        key: Option<&str>,
    ) -> Result<MailPreference, ApiError> {
        let account = logged_in(caller)?;
        let command_id = command_id(account, "setMailPreference", key)?;
        let mut asked = SetPreferenceRequest { command_id, customer_id: account.id.clone(), mail: 0 };
        asked.set_mail(preference.into());
        let found = answer(self.notifications.clone().set_preference(request(caller, asked)?)).await?;
        found.mail().try_into()
    }

    /// Creates a product, or changes its name and price. For operators.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `BAD_USER_INPUT`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn upsert_product(&self, caller: &Caller, command: UpsertProduct) -> Result<Product, ApiError> {
        let account = operator(caller)?;
        let asked = UpsertProductRequest {
            command_id: command_id(account, "upsertProduct", command.idempotency_key.as_deref())?,
            sku: validate::sku(&command.sku)?,
            name: validate::name(&command.name)?,
            price: Some(validate::price(&command.price)?.into()),
        };
        answer(self.inventory.clone().upsert_product(request(caller, asked)?)).await?.try_into()
    }

    /// Adds to the stock on hand or takes from it. For operators.
    ///
    /// # Errors
    /// As [`upsert_product`](Self::upsert_product); `NOT_FOUND`; `OUT_OF_STOCK`
    /// below what is reserved.
    pub async fn adjust_stock(&self, caller: &Caller, command: AdjustStock) -> Result<Product, ApiError> {
        let account = operator(caller)?;
        let asked = AdjustStockRequest {
            command_id: command_id(account, "adjustStock", command.idempotency_key.as_deref())?,
            sku: validate::sku(&command.sku)?,
            delta: validate::delta(command.delta)?,
        };
        answer(self.inventory.clone().adjust_stock(request(caller, asked)?)).await?.try_into()
    }

    /// The number ends here; what travels on is what the bank made of it.
    async fn tokenize(&self, caller: &Caller, CardNumber(number): &CardNumber) -> Result<Card, ApiError> {
        let asked = TokenizeCardRequest { number: validate::card_number(number)? };
        answer(self.payments.clone().tokenize_card(request(caller, asked)?)).await
    }

    /// For whom an operator places an order: customer id and email. A text that
    /// names no account is a reference of its own, such as a till's customer number;
    /// but one with an `@` was meant as an email, and a slip in it must not make an
    /// order that nobody can see.
    async fn customer(&self, customer: &str) -> Result<(String, String), ApiError> {
        let customer = validate::customer(customer)?;
        match self.accounts.find(&customer).await? {
            Some(account) => Ok((account.id, account.email)),
            None if customer.contains('@') => Err(ApiError::not_found("there is no account with that email")),
            None => Ok((format!("ref:{customer}"), String::new())),
        }
    }
}

/// `<account>/<operation>/<key>`: scoped, so that two customers may use one key,
/// and one customer may use it for two things.
fn command_id(account: &Account, operation: &str, key: Option<&str>) -> Result<String, ApiError> {
    Ok(match key {
        Some(key) => format!("{}/{operation}/{}", account.id, validate::idempotency_key(key)?),
        None => fresh_id(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Role;

    #[test]
    fn a_command_id_is_scoped_to_account_and_operation() {
        let account = Account { id: "a-1".into(), email: "ada@example.com".into(), role: Role::Customer };
        assert_eq!(command_id(&account, "payOrder", Some("k")), Ok("a-1/payOrder/k".into()));
        let fresh = || command_id(&account, "payOrder", None);
        assert_ne!(fresh(), fresh());
        assert!(command_id(&account, "payOrder", Some("")).is_err());
    }
}
