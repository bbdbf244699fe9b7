//! The shelf (catalogue with search) and a product's page.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway::api::Product;
use platform::money;

use super::next_page;
use crate::Shop;
use crate::cart::MOST_OF_ONE;
use crate::error::PageError;
use crate::form::{Query, Segment};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::session::Visitor;
use crate::tile::Tile;
use crate::url;

const PAGE: i32 = 24;
/// Fewer than this are told by number.
const FEW: i64 = 10;

/// A product as cards and pages show it.
#[derive(Debug, Clone)]
pub(crate) struct ProductView {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) price: String,
    pub(crate) stock: Stock,
    /// How many one may put into the cart at once; 0 if sold out.
    pub(crate) most: i64,
    pub(crate) tile: Tile,
}

/// Availability in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) text: String,
    /// A class of the style sheet.
    pub(crate) class: &'static str,
}

impl Stock {
    pub(crate) fn of(available: i64) -> Self {
        let (text, class) = match available {
            i64::MIN..=0 => ("Sold out".to_owned(), "none"),
            few @ 1..FEW => (format!("Only {few} left"), "few"),
            _ => ("In stock".to_owned(), "plenty"),
        };
        Self { text, class }
    }
}

impl From<&Product> for ProductView {
    fn from(product: &Product) -> Self {
        Self {
            sku: product.sku.clone(),
            name: product.name.clone(),
            path: format!("/products/{}", url::encode(&product.sku)),
            price: money::format(product.price.amount, &product.price.currency),
            stock: Stock::of(product.available),
            most: product.available.clamp(0, MOST_OF_ONE),
            tile: Tile::of(&product.sku),
        }
    }
}

#[derive(Template)]
#[template(path = "shelf.html")]
struct ShelfPage {
    shell: Shell,
    products: Vec<ProductView>,
    total: i64,
    /// Not the first page.
    further: bool,
    /// Where this list begins.
    start: String,
    next: Option<String>,
}

/// `GET /`: `?q=` searches, `?after=` goes on.
pub(crate) async fn shelf(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    let search = query.bounded("q", 100)?;
    let after = query.optional("after");
    let found = shop.api.products(&visitor.caller, search, PAGE, after).await?;
    let filter = search.map(|search| ("q", search));
    let mut shell = visitor.shell();
    shell.search = search.unwrap_or_default().to_owned();
    let shelf = ShelfPage {
        shell,
        products: found.nodes().map(ProductView::from).collect(),
        total: found.total,
        further: after.is_some(),
        start: search.map_or_else(|| "/".to_owned(), |search| format!("/?q={}", url::encode(search))),
        next: next_page("/", filter, found.has_next_page, found.end_cursor()),
    };
    Ok(page(StatusCode::OK, &shelf))
}

#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage {
    shell: Shell,
    product: ProductView,
    /// What stands in the field for the quantity.
    typed: String,
    mistakes: Mistakes,
}

impl ProductPage {
    fn new(visitor: &Visitor, product: &Product) -> Self {
        let product = ProductView::from(product);
        Self { shell: visitor.shell(), product, typed: "1".to_owned(), mistakes: Mistakes::default() }
    }
}

/// `GET /products/{sku}`.
pub(crate) async fn product(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(sku): Segment,
) -> Result<Response, PageError> {
    let not_found = || PageError::not_found("The shop has no such product.");
    if !crate::cart::is_sku(&sku.to_ascii_uppercase()) {
        return Err(not_found());
    }
    let product = shop.api.product(&visitor.caller, &sku).await?.ok_or_else(not_found)?;
    Ok(page(StatusCode::OK, &ProductPage::new(&visitor, &product)))
}

/// The product's page again, for who wanted to put an impossible number of it into the cart.
pub(crate) fn refused(visitor: &Visitor, product: &Product, typed: &str, mistakes: Mistakes) -> Response {
    let shown = ProductPage { typed: typed.to_owned(), mistakes, ..ProductPage::new(visitor, product) };
    page(StatusCode::BAD_REQUEST, &shown)
}

#[cfg(test)]
mod tests {
    use gateway::api::Money;

    use super::*;

    fn product(name: &str, available: i64) -> ProductView {
        let price = Money { amount: 1250, currency: "GBP".into() };
        ProductView::from(&Product { sku: "A/B".into(), name: name.into(), price, available })
    }

    fn shell() -> Shell {
        let mut shell = Shell::new(None, false, 0, "token".into());
        shell.search = "\"><script>".into();
        shell
    }

    #[test]
    fn names_and_searches_are_escaped() {
        let shelf = ShelfPage {
            shell: shell(),
            products: vec![product("<script>alert(1)</script>", 5)],
            total: 1,
            further: false,
            start: "/".into(),
            next: None,
        };
        let html = shelf.render().expect("draws");
        assert!(html.contains("alert(1)") && !html.contains("<script>"), "{html}");
        assert!(html.contains("/products/A%2FB"));
    }

    #[test]
    fn what_is_sold_out_cannot_be_put_into_the_cart() {
        let html = |available| {
            let (typed, mistakes) = ("1".to_owned(), Mistakes::default());
            let page = ProductPage { shell: shell(), product: product("Mug", available), typed, mistakes };
            page.render().expect("draws")
        };
        assert!(html(3).contains("action=\"/cart/add\"") && html(3).contains("Only 3 left"));
        assert!(!html(0).contains("action=\"/cart/add\"") && html(0).contains("Sold out"));
    }
}
