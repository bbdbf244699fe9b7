//! Limits: what a document may cost, checked before anything walks it.
//!
//! A document of a kilobyte can stand for billions of fields: fragments that
//! spread others twice double with each step. And one that is all brackets digs
//! as deep into the stack as it is long. So the text's nesting is counted before
//! it is parsed, and the parsed document is weighed with each fragment looked at
//! once. The executor's own limits (complexity, with the rows that a list may
//! have) come after these, and walk only what is small.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Request, ServerError};

use crate::api::validate;

/// What all fields of a document may cost together; a field costs 1, a list its
/// children times its rows, a password's hash far more.
pub(super) const MOST_COMPLEX: usize = 20_000;
/// Directives on one field.
pub(super) const MOST_DIRECTIVES: usize = 10;
/// Bytes of a document: 256 KiB. What is long belongs into its variables.
const LONGEST: usize = 256 << 10;
/// Fields and spreads of a document, fragments written out.
const MOST_SELECTIONS: usize = 10_000;
/// Selection sets inside one another, fragments written out.
const DEEPEST: usize = 32;
/// Brackets inside one another, of any kind.
const MOST_NESTED: usize = 64;

/// Parses a request's document, if it is of a bearable size.
pub(super) fn admit(request: &mut Request) -> Result<(), ServerError> {
    if request.query.len() > LONGEST {
        return Err(refused("the document is too long; put what is long into its variables"));
    }
    if nesting(&request.query) > MOST_NESTED {
        return Err(refused("the document is nested too deep"));
    }
    weigh(request.parsed_query()?)
}

/// A list's cost: its rows times what one costs. `first` is as a stranger sent it.
pub(super) fn rows(first: Option<i32>, child_complexity: usize) -> usize {
    let rows = first.map_or(1, |first| first.clamp(1, validate::LARGEST_PAGE));
    let rows = usize::try_from(rows).unwrap_or(1);
    child_complexity.saturating_mul(rows).saturating_add(1)
}

fn refused(message: &str) -> ServerError {
    ServerError::new(message, None)
}

/// How deep the text's brackets go, leaving out those in strings and comments.
fn nesting(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => at += until(&bytes[at..], |rest| rest[0] == b'\n' || rest[0] == b'\r'),
            b'"' if bytes[at..].starts_with(b"\"\"\"") => at = end_of_block_string(bytes, at + 3),
            b'"' => at = end_of_string(bytes, at + 1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// How many bytes until the rest meets the condition, or ends.
fn until(bytes: &[u8], met: impl Fn(&[u8]) -> bool) -> usize {
    (0..bytes.len()).find(|&at| met(&bytes[at..])).unwrap_or(bytes.len())
}

/// The place of the quote that ends a string (or of the line's end, which makes it
/// a syntax error).
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' | b'\n' | b'\r' => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The place of the last of the three quotes that end a block string.
fn end_of_block_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if bytes[at..].starts_with(b"\"\"\"") {
            return at + 2;
        } else {
            at += 1;
        }
    }
    at
}

/// What a selection set comes to with its fragments written out.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    selections: usize,
    height: usize,
}

fn weigh(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut scales = Scales { document, fragments: HashMap::new() };
    let mut selections = 0_usize;
    for (_, operation) in document.operations.iter() {
        selections = selections.saturating_add(scales.set(&operation.node.selection_set.node, 0)?.selections);
    }
    // Also the fragments that no operation spreads: the rules look at all of them.
    for name in document.fragments.keys() {
        scales.fragment(name, 0)?;
    }
    if selections > MOST_SELECTIONS { Err(refused("the document selects too much")) } else { Ok(()) }
}

struct Scales<'a> {
    document: &'a ExecutableDocument,
    /// What is known of each fragment; `None` while it is being weighed, so that
    /// meeting it again means that it contains itself.
    fragments: HashMap<&'a str, Option<Weight>>,
}

impl<'a> Scales<'a> {
    fn set(&mut self, set: &'a SelectionSet, depth: usize) -> Result<Weight, ServerError> {
        if depth > DEEPEST {
            return Err(refused("the document is nested too deep"));
        }
        let mut total = Weight::default();
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node, depth + 1)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, depth + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, depth + 1)?,
            };
            total.selections = total.selections.saturating_add(inner.selections).saturating_add(1);
            total.height = total.height.max(inner.height + 1);
        }
        if depth + total.height > DEEPEST {
            return Err(refused("the document is nested too deep"));
        }
        Ok(total)
    }

    fn fragment(&mut self, name: &str, depth: usize) -> Result<Weight, ServerError> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            // Unknown: the executor's rules will say so.
            return Ok(Weight::default());
        };
        match self.fragments.insert(name.as_str(), None) {
            Some(None) => Err(refused("a fragment contains itself")),
            Some(Some(known)) => {
                self.fragments.insert(name.as_str(), Some(known));
                if depth + known.height > DEEPEST {
                    return Err(refused("the document is nested too deep"));
                }
                Ok(known)
            }
            None => {
                let weight = self.set(&fragment.node.selection_set.node, depth)?;
                self.fragments.insert(name.as_str(), Some(weight));
                Ok(weight)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(query: &str) -> Result<(), String> {
        admit(&mut Request::new(query)).map_err(|error| error.message)
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        assert_eq!(nesting("{ a(b: [1, {c: 2}]) }"), 4);
        assert_eq!(nesting(r#"{ a(b: "((([[[ \" {{{") }"#), 2);
        assert_eq!(nesting("{ a(b: \"\"\"((( \\\"\"\" \" [[[\"\"\") } # {{{\n"), 2);
        assert_eq!(nesting("}}}{"), 1);
        assert_eq!(nesting("\"\\"), 0);
    }

    #[test]
    fn a_bracket_tower_is_refused_before_it_is_parsed() {
        for bracket in ["{a", "[", "(", "{a(b:[", "{"] {
            let tower = bracket.repeat(LONGEST / bracket.len());
            assert_eq!(verdict(&tower), Err("the document is nested too deep".into()), "{bracket}");
        }
    }

    #[test]
    fn fragments_that_double_are_weighed_without_being_written_out() {
        let mut bomb = String::from("{ ...f0 } fragment f30 on Query { me { id } }");
        for n in 0..30 {
            bomb += &format!(" fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1);
        }
        assert!(verdict(&bomb).is_err());
        let mut wide = String::from("{ ...f0 } fragment f20 on Query { me { id } }");
        for n in 0..20 {
            wide += &format!(" fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1);
        }
        assert_eq!(verdict(&wide), Err("the document selects too much".into()));
    }

    #[test]
    fn a_long_document_is_refused_before_it_is_parsed() {
        assert!(
            verdict(&format!("{{ me {{ {} }} }}", "id ".repeat(100_000))).is_err_and(|why| why.contains("too long"))
        );
    }

    #[test]
    fn a_long_chain_of_fragments_is_refused_in_any_order() {
        for reversed in [false, true] {
            let link = |n| format!("fragment f{n} on Query {{ ...f{} }}", n + 1);
            let mut parts: Vec<String> = (0..5_000).map(link).collect();
            if reversed {
                parts.reverse();
            }
            assert!(verdict(&format!("{{ ...f0 }} {}", parts.join(" "))).is_err());
        }
    }

    #[test]
    fn a_fragment_that_contains_itself_is_refused() {
        assert!(verdict("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }").is_err());
        assert!(verdict("{ me { id } } fragment a on Query { ...a }").is_err());
    }

    #[test]
    fn what_people_write_is_admitted() {
        assert_eq!(verdict("{ me { id } }"), Ok(()));
        let aliases: String = (0..25).map(|n| format!("o{n}: order(id: \"{n}\") {{ ...F }} ")).collect();
        let fragment = "fragment F on Order { id lines { sku unitPrice { amount } } timeline { at } }";
        assert_eq!(verdict(&format!("{{ {aliases} }} {fragment}")), Ok(()));
    }
}
