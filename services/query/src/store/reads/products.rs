//! The catalogue, by SKU and by search.

use platform::store::{Db, StoreError};
use serde::Deserialize;
use serde_json::json;

use super::{Count, Page, generation};
use crate::read_model::{Model, Scope};

/// A product that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ShownProduct {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) price: i64,
    pub(crate) currency: String,
    pub(crate) available: i64,
}

/// Sort key of the catalogue: name, SKU.
pub(crate) type ByName = (String, String);

const COLUMNS: &str = "p.sku, p.name, p.price, p.currency, p.on_hand - p.reserved AS available";

/// Those of the products that are shown, in no order.
pub(crate) async fn by_sku(db: &Db, skus: &[String]) -> Result<Vec<ShownProduct>, StoreError> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let args: Vec<_> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
    db.read(
        format!(
            "SELECT {COLUMNS} FROM products AS p
             WHERE p.generation = {} AND p.name IS NOT NULL
               AND p.sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
            generation(Scope::Live, Model::Products)
        ),
        &args,
    )
    .await
}

/// The words of a search, as patterns: each must occur somewhere.
const WORDS: &str = "words AS MATERIALIZED (
    SELECT r.value->>'word' AS word FROM jsonb_each($1) AS r WHERE r.value->>'word' IS NOT NULL)";

/// A page of the shown products that all `patterns` match, by name, and how many
/// there are in all.
pub(crate) async fn search(
    db: &Db,
    patterns: &[String],
    page: &Page<ByName>,
) -> Result<(Vec<ShownProduct>, i64), StoreError> {
    let (name, sku) = page.after.as_ref().map(|(name, sku)| (name.as_str(), sku.as_str())).unzip();
    let mut args = vec![json!({ "name": name, "sku": sku, "rows": page.rows + 1 })];
    args.extend(patterns.iter().map(|pattern| json!({ "word": pattern })));
    let after =
        if page.after.is_some() { " AND (p.name, p.sku) > ((SELECT name FROM a), (SELECT sku FROM a))" } else { "" };
    let matching = format!(
        r"FROM products AS p WHERE p.generation = {} AND p.name IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM words AS w WHERE p.search_text NOT LIKE w.word ESCAPE '\')",
        generation(Scope::Live, Model::Products)
    );
    let rows = db
        .read(
            format!(
                "WITH a AS MATERIALIZED (
                     SELECT r.value->>'name' AS name, r.value->>'sku' AS sku, CAST(r.value->>'rows' AS BIGINT) AS size
                     FROM jsonb_each($1) AS r WHERE r.value->>'rows' IS NOT NULL),
                 {WORDS}
                 SELECT {COLUMNS} {matching}{after} ORDER BY p.name, p.sku LIMIT (SELECT size FROM a)"
            ),
            &args,
        )
        .await?;
    let total: Vec<Count> = db.read(format!("WITH {WORDS} SELECT COUNT(*) AS n {matching}"), &args).await?;
    Ok((rows, total.first().map_or(0, |count| count.n)))
}

/// The patterns of a search text: its words in lower case, each to be found
/// anywhere, with what `LIKE` gives a meaning taken literally.
pub(crate) fn patterns(search: &str) -> Vec<String> {
    let mut words: Vec<String> = search.to_lowercase().split_whitespace().map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
        .iter()
        .map(|word| {
            let mut pattern = String::with_capacity(word.len() + 2);
            pattern.push('%');
            for letter in word.chars() {
                if matches!(letter, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(letter);
            }
            pattern.push('%');
            pattern
        })
        .collect()
}

#[cfg(test)]
mod pattern_tests {
    use super::patterns;

    #[test]
    fn a_search_is_its_words_in_lower_case() {
        assert_eq!(patterns("  Tea \t MUG tea "), ["%mug%", "%tea%"]);
        assert_eq!(patterns(" "), Vec::<String>::new());
    }

    #[test]
    fn what_like_gives_a_meaning_is_taken_literally() {
        assert_eq!(patterns(r"100% a_b c\d"), [r"%100\%%", r"%a\_b%", r"%c\\d%"]);
    }
}
