//! A customer at a browser: what the journeys through the real binary in headless Chromium are
//! told with.

use std::time::Duration;

use anyhow::Result;
use fantoccini::Locator;
use serde_json::json;

use crate::browser::Browser;
use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const CUSTOMER: &str = "ada@example.com";
pub(crate) const OPERATOR: &str = "operator@example.com";
pub(crate) const PASSWORD: &str = "orderly";
pub(crate) const BADGE: &str = "#live .badge";
/// The key Enter, as WebDriver has it.
pub(crate) const ENTER: char = '\u{e007}';
/// The key Tab.
pub(crate) const TAB: char = '\u{e004}';

/// A customer at a browser.
pub(crate) struct Journey {
    base_url: String,
    /// `None`: it runs elsewhere.
    shop: Option<Shop>,
    pub(crate) browser: Browser,
}

impl Journey {
    pub(crate) async fn begin(options: ShopOptions) -> Self {
        let shop = Shop::start(options).await.expect("the shop starts");
        let base_url = shop.base_url().to_owned();
        Self { shop: Some(shop), ..Self::at(&base_url).await }
    }

    /// At a shop that runs already.
    pub(crate) async fn at(base_url: &str) -> Self {
        let browser = Browser::open().await.expect("the browser opens");
        Self { base_url: base_url.to_owned(), shop: None, browser }
    }

    /// A visitor of the same shop without a browser.
    pub(crate) fn visitor(&self) -> Client {
        Client::new(&self.base_url)
    }

    /// Logs in by the form.
    pub(crate) async fn log_in(&self) {
        self.log_in_as(CUSTOMER).await;
    }

    pub(crate) async fn log_in_as(&self, email: &str) {
        self.visit("/login").await;
        self.type_into("main input[name=email]", email).await;
        self.type_into("main input[name=password]", PASSWORD).await;
        self.click("main form button").await;
        self.until_shows("header .menu summary", "Account").await;
    }

    pub(crate) async fn client(&self) -> Client {
        self.visitor().log_in(CUSTOMER, PASSWORD).await.expect("logs in")
    }

    pub(crate) async fn visit(&self, path: &str) {
        let url = format!("{}{path}", self.base_url);
        self.browser.page.goto(&url).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Clicks as soon as it can be clicked: news that come live may replace the element between
    /// finding and clicking it.
    ///
    /// It is brought into view at once. `WebDriver` itself would scroll as smoothly as the style
    /// sheet says, find the element still out of view, and begin anew with each attempt.
    pub(crate) async fn click(&self, css: &str) {
        let into_view = "arguments[0].scrollIntoView({ behavior: 'instant', block: 'center' })";
        let mut last = String::new();
        let clicked = until("the click", PATIENCE, async || {
            let clicked = async {
                let found = self.browser.page.find(Locator::Css(css)).await?;
                self.browser.page.execute(into_view, vec![serde_json::to_value(&found)?]).await?;
                found.click().await
            };
            Ok(clicked.await.map_err(|error| last = error.to_string()).ok())
        });
        clicked.await.unwrap_or_else(|error| panic!("{css}: {error}, last {last}"));
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let found = self.browser.page.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let found = found.unwrap_or_else(|error| panic!("{css}: {error}"));
        found.clear().await.expect("can be emptied");
        found.send_keys(text).await.expect("can be typed into");
    }

    /// The visible text of the first such element; empty if there is none.
    pub(crate) async fn text(&self, css: &str) -> Result<String> {
        let script = "const found = document.querySelector(arguments[0]); return found ? found.innerText : ''";
        let text = self.browser.page.execute(script, vec![css.into()]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until such an element shows this text, in any case.
    pub(crate) async fn until_shows(&self, css: &str, wanted: &str) {
        let mut last = String::new();
        let shown = until("the page", PATIENCE, async || {
            match self.text(css).await {
                Ok(text) => last = text,
                // A page that is just being left for the next one gives none.
                Err(error) => {
                    last = format!("no answer: {error:#}");
                    return Ok(None);
                }
            }
            Ok(last.to_lowercase().contains(&wanted.to_lowercase()).then_some(()))
        })
        .await;
        shown.unwrap_or_else(|error| panic!("{css} should show {wanted:?}, shows {last:?}: {error}"));
    }

    /// How many such elements there are.
    pub(crate) async fn count(&self, css: &str) -> u64 {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let count = self.browser.page.execute(script, vec![css.into()]).await.expect("is counted");
        count.as_u64().expect("a number")
    }

    /// Marks the document, so that a page that was loaded again is known by having no mark.
    pub(crate) async fn mark(&self) {
        self.browser.page.execute("window.marked = true", vec![]).await.expect("is marked");
    }

    pub(crate) async fn assert_not_reloaded(&self) {
        let marked = self.browser.page.execute("return window.marked === true", vec![]).await.expect("answers");
        assert_eq!(marked, true, "the page was loaded again");
    }

    /// The id of the order whose page this is.
    pub(crate) async fn order_id(&self) -> String {
        let url = self.browser.page.current_url().await.expect("is somewhere");
        url.path().strip_prefix("/orders/").expect("at an order").to_owned()
    }

    /// A picture of the whole page at this width, which must be enough for it, once it has come to
    /// rest: news are faded in.
    pub(crate) async fn picture(&self, name: &str, width: u32) {
        let moving =
            "return document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity).length";
        let rest = until("the page to come to rest", PATIENCE, async || {
            Ok((self.browser.page.execute(moving, vec![]).await? == json!(0)).then_some(()))
        });
        rest.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.browser.resize(width, 900).await.expect("can be sized");
        let script =
            "scrollTo(0, 0); const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]";
        let size = self.browser.page.execute(script, vec![]).await.expect("has a size");
        let (wide, high) = (size[0].as_u64().expect("a width"), size[1].as_u64().expect("a height"));
        assert!(wide <= u64::from(width), "{name} is {wide} pixels wide on a screen of {width}");
        self.browser
            .resize(width, u32::try_from(high.clamp(600, 8_000)).expect("bounded"))
            .await
            .expect("can be sized");
        self.browser.screenshot(name).await.expect("is kept");
        self.browser.resize(1280, 900).await.expect("can be sized");
    }

    /// At the end: nothing to complain of, neither in the browser nor in the shop.
    pub(crate) async fn end(self) {
        let complaints = self.browser.complaints().await.expect("the browser answers");
        assert!(complaints.is_empty(), "{complaints:#?}");
        if let Some(shop) = &self.shop {
            assert!(!shop.stderr().contains("panicked"), "{}", shop.stderr());
        }
    }
}

/// Puts one of a product into the cart and checks out; ends on the order's page.
pub(crate) async fn buy_later_or_with(journey: &Journey, sku: &str, card: &str) {
    journey.visit(&format!("/products/{sku}")).await;
    journey.click(".buy button").await;
    journey.click("a[href='/checkout']").await;
    choose(journey, card).await;
    journey.click("aside button").await;
    journey.until_shows("main h1", "Order").await;
}

/// Clicks a card's label, since the button itself is drawn by the style sheet.
pub(crate) async fn choose(journey: &Journey, card: &str) {
    journey.click(&format!("label:has(#card-{card})")).await;
}
