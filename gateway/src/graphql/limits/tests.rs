//! Documents that strangers write, and that people write.

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
    assert!(verdict(&format!("{{ me {{ {} }} }}", "id ".repeat(100_000))).is_err_and(|why| why.contains("too long")));
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

#[test]
fn what_multiplies_the_work_of_a_field_is_bounded() {
    let many = |count, item: fn(usize) -> String| (0..count).map(item).collect::<String>();
    let alias = |n| format!("a{n}: me {{ id }} ");
    assert_eq!(verdict(&format!("{{ {} }}", many(MOST_ALIASES, alias))), Ok(()));
    assert!(verdict(&format!("{{ {} }}", many(MOST_ALIASES + 1, alias))).is_err());
    let half = format!("fragment f on Query {{ {} }}", many(MOST_ALIASES / 2 + 1, alias));
    assert!(verdict(&format!("query A {{ ...f }} query B {{ ...f }} {half}")).is_err(), "each time it is spread");

    let argument = |n| format!("a{n}: 1 ");
    assert_eq!(verdict(&format!("{{ me({}) {{ id }} }}", many(MOST_ARGUMENTS, argument))), Ok(()));
    assert!(verdict(&format!("{{ me({}) {{ id }} }}", many(MOST_ARGUMENTS + 1, argument))).is_err());
    assert!(verdict(&format!("{{ me {{ id @skip({}) }} }}", many(MOST_ARGUMENTS + 1, argument))).is_err());

    let variable = |n| format!("$v{n}: Int ");
    assert_eq!(verdict(&format!("query({}) {{ me {{ id }} }}", many(MOST_VARIABLES, variable))), Ok(()));
    assert!(verdict(&format!("query({}) {{ me {{ id }} }}", many(MOST_VARIABLES + 1, variable))).is_err());
}

#[test]
fn directives_are_bounded_wherever_they_stand() {
    let skips = "@skip(if: false) ".repeat(MOST_DIRECTIVES + 1);
    for document in [
        format!("{{ me {skips} {{ id }} }}"),
        format!("{{ me {{ ... {skips} {{ id }} }} }}"),
        format!("{{ ...f {skips} }} fragment f on Query {{ me {{ id }} }}"),
        format!("{{ ...f }} fragment f on Query {skips} {{ me {{ id }} }}"),
        format!("query A {skips} {{ me {{ id }} }}"),
        format!("query A($v: Int {skips}) {{ me {{ id }} }}"),
    ] {
        assert!(verdict(&document).is_err_and(|why| why.contains("directives")), "{document:.60}");
    }
}

#[test]
fn the_operation_that_is_meant_says_whether_it_subscribes() {
    let subscribes = |query: &str, name: Option<&str>| {
        let mut request = Request::new(query);
        request.operation_name = name.map(str::to_owned);
        admit(&mut request).and_then(|()| super::subscribes(&mut request)).map_err(|error| error.message)
    };
    assert_eq!(subscribes("{ me { id } }", None), Ok(false));
    assert_eq!(subscribes("subscription { orderUpdates { id } }", None), Ok(true));
    assert_eq!(subscribes("subscription S { orderUpdates { id } }", None), Ok(true));
    let both = "query Q { me { id } } subscription S { orderUpdates { id } }";
    assert_eq!(subscribes(both, Some("S")), Ok(true));
    assert_eq!(subscribes(both, Some("Q")), Ok(false));
    assert_eq!(subscribes(both, None), Ok(false), "the executor refuses it");
}

#[test]
fn a_subscription_is_one_field() {
    for several in [
        "subscription { orderUpdates { id } other: orderUpdates { id } }",
        "subscription { ...f } fragment f on Subscription { orderUpdates { id } }",
        "subscription { ... { orderUpdates { id } } }",
        "subscription { orderUpdates @include(if: true) { id } }",
        "subscription { __typename }",
        "query Q { me { id } } subscription S { a: orderUpdates { id } b: orderUpdates { id } }",
    ] {
        assert!(verdict(several).is_err_and(|why| why.contains("exactly one field")), "{several}");
    }
}

#[test]
fn a_list_without_a_number_of_rows_costs_the_most() {
    assert_eq!(rows(Some(20), 3), 60 + CALL);
    assert_eq!(rows(None, 3), 300 + CALL);
    for wild in [i32::MIN, -1, 0] {
        assert_eq!(rows(Some(wild), 3), 3 + CALL);
    }
    assert_eq!(windows(Some(i32::MAX), 2), 2_880 + CALL);
    assert_eq!(rows(Some(100), usize::MAX), usize::MAX);
}
