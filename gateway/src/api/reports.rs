//! What operators look at: sales by minute, and how far the read models are.

use contracts::query::{ListReadModelsRequest, ListSalesRequest};

use super::{Api, ApiError, Caller, ReadModels, SalesMinute, answer, operator, request, validate};

impl Api {
    /// What was sold and given back, minute by minute, newest first: at most `first`
    /// (1 to 1,440) windows from `from` on and before `to`, both Unix milliseconds.
    /// A minute without sales has no window; one with two currencies has two.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `BAD_USER_INPUT`, `UNAVAILABLE`.
    pub async fn sales(
        &self,
        caller: &Caller,
        from: Option<i64>,
        to: Option<i64>,
        first: i32,
    ) -> Result<Vec<SalesMinute>, ApiError> {
        operator(caller)?;
        let asked = ListSalesRequest {
            from: from.map(validate::moment).transpose()?,
            to: to.map(validate::moment).transpose()?,
            first: validate::windows(first)?,
        };
        let found = answer(self.query.clone().list_sales(request(caller, asked)?)).await?;
        Ok(found.minutes.into_iter().map(SalesMinute::from).collect())
    }

    /// Where each read model stands, and how far behind it is.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `FORBIDDEN`, `UNAVAILABLE`.
    pub async fn read_models(&self, caller: &Caller) -> Result<ReadModels, ApiError> {
        operator(caller)?;
        let asked = request(caller, ListReadModelsRequest {})?;
        Ok(answer(self.query.clone().list_read_models(asked)).await?.into())
    }
}
