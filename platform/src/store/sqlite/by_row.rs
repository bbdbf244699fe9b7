//! A statement over a set, rewritten to run **row by row**.
//!
//! Every statement of the shop is written over a set, since a server wants few round trips:
//! `… FROM jsonb_each($1) AS r`. SQLite has no round trips. There it is cheaper to prepare
//! the same statement for one row, with named parameters in the place of `r.value->>'name'`,
//! and to run it for each: no JSON is written, parsed and looked up by name, and no set is
//! kept aside (measured: `docs/performance.md`). What is written in the source is the set form;
//! these shapes of it can be rewritten, and a text of any other shape runs as it stands:
//!
//! ```sql
//! INSERT INTO t (a, b) SELECT r.value->>'a', … FROM jsonb_each($1) AS r    -- VALUES (:a, …)
//! UPDATE t SET b = r.value->>'b' FROM jsonb_each($1) AS r WHERE …          -- SET b = :b WHERE …
//! … WHERE k IN (SELECT r.value->>'k' FROM jsonb_each($1) AS r) …           -- WHERE k = (:k) …
//! SELECT t.a FROM t, jsonb_each($1) AS r WHERE t.k = r.value->>'k'         -- FROM t WHERE t.k = :k
//! SELECT r.value->>'k' AS k, (SELECT …) AS a FROM jsonb_each($1) AS r      -- SELECT :k AS k, …
//! ```

const SET: &str = "FROM jsonb_each($1) AS r";
const JOINED: &str = ", jsonb_each($1) AS r";
const FIELD: &str = "r.value->>'";

/// The statement for one row; `None` if it is of no shape that can be rewritten.
pub(super) fn by_row(sql: &str) -> Option<String> {
    let shaped = match sql.split_once(SET) {
        Some((before, after)) => one_row(before, after)?,
        None => sql.replacen(JOINED, "", 1),
    };
    let rewritten = with_parameters(&shaped)?;
    // A set that is named twice or not at all, or a row that is used whole.
    (rewritten != sql && !rewritten.contains("$1") && !rewritten.contains("r.value")).then_some(rewritten)
}

/// What stands before and after the set, put together for one row.
fn one_row(before: &str, after: &str) -> Option<String> {
    if let Some((subject, fields)) = before.rsplit_once("(SELECT ")
        && let Some(subject) = subject.trim_end().strip_suffix(" IN")
    {
        return Some(format!("{subject} = ({fields}){}", after.strip_prefix(')')?));
    }
    match before.split_whitespace().next()? {
        "INSERT" => {
            let ((into, fields), after) = (before.split_once("SELECT ")?, after.trim_start());
            Some(format!("{into}VALUES ({fields}) {}", after.strip_prefix("WHERE true").unwrap_or(after)))
        }
        "UPDATE" => Some(format!("{before}{after}")),
        "SELECT" if after.trim().is_empty() => Some(before.to_owned()),
        _ => None,
    }
}

/// `CAST(r.value->>'n' AS BIGINT)` and `r.value->>'n'` as `:n`. The cast is not needed: a number
/// is bound as a number.
fn with_parameters(sql: &str) -> Option<String> {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, field)) = rest.split_once(FIELD) {
        let (name, mut after) = field.split_once('\'')?;
        match (before.strip_suffix("CAST("), after.strip_prefix(" AS BIGINT)")) {
            (Some(before), Some(uncast)) => {
                text.push_str(before);
                after = uncast;
            }
            _ => text.push_str(before),
        }
        text.push(':');
        text.push_str(name);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sql: &str) -> Option<String> {
        by_row(sql).map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn an_insert_has_values() {
        let set = "INSERT INTO t (a, b)
                   SELECT r.value->>'a', CAST(r.value->>'b' AS BIGINT)
                   FROM jsonb_each($1) AS r WHERE true
                   ON CONFLICT (a) DO UPDATE SET b = excluded.b";
        let row = "INSERT INTO t (a, b) VALUES (:a, :b ) ON CONFLICT (a) DO UPDATE SET b = excluded.b";
        assert_eq!(rewritten(set).as_deref(), Some(row));
    }

    #[test]
    fn an_update_tests_its_version() {
        let set = "UPDATE t SET b = r.value->>'b', version = t.version + 1 FROM jsonb_each($1) AS r
                   WHERE t.a = r.value->>'a' AND t.version = CAST(r.value->>'loaded' AS BIGINT)";
        let row = "UPDATE t SET b = :b, version = t.version + 1 WHERE t.a = :a AND t.version = :loaded";
        assert_eq!(rewritten(set).as_deref(), Some(row));
    }

    #[test]
    fn a_key_is_looked_up_alone() {
        let set = "SELECT * FROM t WHERE (a, b) IN
                       (SELECT r.value->>'a', CAST(r.value->>'b' AS BIGINT) FROM jsonb_each($1) AS r) ORDER BY a";
        assert_eq!(rewritten(set).as_deref(), Some("SELECT * FROM t WHERE (a, b) = (:a, :b ) ORDER BY a"));
        let joined = "SELECT t.b FROM t, jsonb_each($1) AS r WHERE t.a = r.value->>'a'";
        assert_eq!(rewritten(joined).as_deref(), Some("SELECT t.b FROM t WHERE t.a = :a"));
        let nested = "SELECT r.value->>'a' AS a, (SELECT b FROM t WHERE t.a = r.value->>'a') AS b
                      FROM jsonb_each($1) AS r";
        assert_eq!(rewritten(nested).as_deref(), Some("SELECT :a AS a, (SELECT b FROM t WHERE t.a = :a) AS b"));
    }

    #[test]
    fn what_has_another_shape_stays_a_set() {
        for sql in [
            "SELECT COUNT(*) FROM t WHERE $1 <> ''",
            "SELECT COUNT(*) FROM jsonb_each($1) AS r JOIN t ON t.a = r.value->>'a'",
            "SELECT t.a FROM t, jsonb_each($1) AS r WHERE t.a = r.value",
            "DELETE FROM t WHERE id IN (SELECT CAST(r.value AS BIGINT) FROM jsonb_each($1) AS r)",
            "SELECT a FROM t, jsonb_each($1) AS s WHERE a IN (SELECT r.value->>'a' FROM jsonb_each($1) AS r)",
        ] {
            assert_eq!(by_row(sql), None, "{sql}");
        }
    }
}
