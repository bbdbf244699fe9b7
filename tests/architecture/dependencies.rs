//! The dependency rule, read from what Cargo itself resolves (`cargo metadata`).
//!
//! `src -> web -> gateway -> contracts, platform`; `src -> services/* -> contracts, platform`;
//! `platform -> contracts` at most; `contracts` -> none of ours. It holds for dev- and
//! build-dependencies too: a test that imports another service couples the two as well.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate of the workspace with those of ours that it names, in any section.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

const SERVICES: [&str; 5] =
    ["orderly-inventory", "orderly-notification", "orderly-order", "orderly-payment", "orderly-query"];

/// Of whom a crate may know; `None` for a crate that the house does not have.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    let floor = ["orderly-contracts", "orderly-platform"];
    Some(match name {
        "orderly-contracts" => vec![],
        "orderly-platform" => vec!["orderly-contracts"],
        "orderly-gateway" => floor.to_vec(),
        "orderly-web" => [&floor[..], &["orderly-gateway"]].concat(),
        "orderly" => [&floor[..], &["orderly-gateway", "orderly-web"], &SERVICES].concat(),
        service if SERVICES.contains(&service) => floor.to_vec(),
        _ => return None,
    })
}

/// Dependencies against the rule, crates unknown to it, and crates that it misses.
pub(crate) fn breaches(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, dependencies) in graph {
        let Some(allowed) = allowed(name) else {
            breaches.push(format!("{name}: the rule knows no such crate"));
            continue;
        };
        let against = dependencies.iter().filter(|dependency| !allowed.contains(&dependency.as_str()));
        breaches.extend(against.map(|dependency| format!("{name} must not depend on {dependency}")));
    }
    let house = ["orderly", "orderly-contracts", "orderly-gateway", "orderly-platform", "orderly-web"];
    let missing = house.iter().chain(&SERVICES).filter(|name| !graph.contains_key(**name));
    breaches.extend(missing.map(|name| format!("{name}: is not in the workspace")));
    breaches
}

/// The workspace's own graph.
pub(crate) fn of_the_workspace() -> Graph {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let dependencies = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        // Those with a path are ours; "name" is the package's, whatever it is called inside.
        all.iter().filter(|dependency| dependency["path"].is_string()).map(|one| text(&one["name"])).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), dependencies(package))).collect()
}

#[test]
fn a_service_that_imports_a_service_is_a_breach() {
    let mut graph = of_the_workspace();
    let before = breaches(&graph).len();
    for (name, dependency) in [
        ("orderly-order", "orderly-payment"),
        ("orderly-platform", "orderly-order"),
        ("orderly-contracts", "orderly-platform"),
        ("orderly-gateway", "orderly-query"),
        ("orderly-web", "orderly-order"),
    ] {
        graph.entry(name.into()).or_default().insert(dependency.into());
    }
    assert_eq!(breaches(&graph).len(), before + 5);
    graph.insert("orderly-helpers".into(), BTreeSet::new());
    assert_eq!(breaches(&graph).len(), before + 6);
}
