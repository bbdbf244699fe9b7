//! For operators: where each read model stands, and how far behind it is.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway::api::ReadModel;
use platform::money;

use super::for_operators;
use crate::Shop;
use crate::error::PageError;
use crate::form::Query;
use crate::layout::{Shell, page};
use crate::session::Visitor;
use crate::when;

struct ModelView {
    name: String,
    generation: i64,
    position: String,
    /// Events behind; `None` if up to date.
    lag: Option<String>,
    /// For people, and for the `datetime` attribute.
    folded: Option<(String, String)>,
    rebuilding: Option<(String, String)>,
}

impl From<&ReadModel> for ModelView {
    fn from(model: &ReadModel) -> Self {
        let told = |millis| (when::moment(when::from_millis(millis)), when::machine(when::from_millis(millis)));
        Self {
            name: model.name.clone(),
            generation: model.generation,
            position: money::count(model.position),
            lag: (model.lag > 0).then(|| money::count(model.lag)),
            folded: model.folded_at.map(told),
            rebuilding: model.rebuilding_at.map(told),
        }
    }
}

#[derive(Template)]
#[template(path = "read_models.html")]
struct ReadModelsPage {
    shell: Shell,
    models: Vec<ModelView>,
    head: String,
    unheard: String,
    /// Whether the page keeps itself up to date.
    running: bool,
}

/// `GET /read-models`: `?still=1` stands still.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    for_operators(&visitor)?;
    let found = shop.api.read_models(&visitor.caller).await?;
    let shown = ReadModelsPage {
        shell: visitor.shell(),
        models: found.models.iter().map(ModelView::from).collect(),
        head: money::count(found.head),
        unheard: money::count(found.unheard),
        running: query.optional("still").is_none(),
    };
    Ok(page(StatusCode::OK, &shown))
}
