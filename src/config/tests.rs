//! The layers over a small command of the tests' own.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::{Arg, ArgAction, value_parser};

use super::*;

/// A shop's command line in small: what a setting can be like, each once.
fn command() -> Command {
    let args = [
        Arg::new("listen").long("listen").value_name("ADDRESS").default_value("127.0.0.1:1").help("Where"),
        Arg::new("window").long("payment-window").value_parser(humantime::parse_duration).default_value("15m"),
        Arg::new("partitions").long("partitions").value_parser(value_parser!(u32).range(1..9)).default_value("8"),
        Arg::new("redis_url").long("redis-url").env("REDIS_URL").hide_env_values(true),
        Arg::new("pin").long("pin").hide_env_values(true).value_parser(value_parser!(u32)),
        Arg::new("no_demo_data").long("no-demo-data").action(ArgAction::SetTrue),
        Arg::new("peers").long("peers").action(ArgAction::Append),
    ];
    let roles = Arg::new("roles").required(true).action(ArgAction::Append).num_args(1..).value_delimiter(',');
    let roles = roles.value_parser(["order", "query", "web"]).env("ORDERLY_ROLES").value_name("ROLE");
    let tls = Arg::new("tls").long("tls").requires("cert");
    let serve = Command::new("serve").args(args.clone()).args([roles, tls, Arg::new("cert").long("cert")]);
    Command::new("orderly")
        .args(args.clone())
        .subcommand(Command::new("up").args(args))
        .subcommand(serve)
        .subcommand(Command::new("audit").arg(Arg::new("json").long("json").action(ArgAction::SetTrue)))
        .subcommand(<Args as clap::Args>::augment_args(Command::new("config")))
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn read_line(line: &str, pairs: &[(&str, &str)]) -> Result<Read, Refusal> {
    let args: Vec<OsString> = ["orderly"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
    read(command(), &args, &environment(pairs))
}

/// What a setting is, and where it is from.
fn value(read: &Read, name: &str) -> (String, Origin) {
    let effect = read.effective.values.iter().find(|effect| effect.setting.name() == name).unwrap();
    let values: Vec<String> = effect.values.iter().map(|value| value.to_string_lossy().into_owned()).collect();
    (values.join(","), effect.origin.clone())
}

fn refusal(line: &str, pairs: &[(&str, &str)]) -> String {
    match read_line(line, pairs).err().unwrap() {
        Refusal::Usage(error, note) => format!("{error}{}", note.unwrap_or_default()),
        Refusal::Settings(wrong) => wrong.join("\n"),
    }
}

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("orderly.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn of_environment(name: &str) -> Origin {
    Origin::Environment(name.to_owned())
}

#[test]
fn the_command_of_the_tests_is_in_order_in_all_its_shapes() {
    let shown = tree::with_every_way(command());
    shown.clone().debug_assert();
    tree::of_flags_alone(shown).debug_assert();
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "\nlisten = \"file\"\npartitions = 4");
    let variable = [("ORDERLY_LISTEN", "env")];
    for command in ["", "up", "serve order", "config", "config up", "config serve order"] {
        let listen = |line: String, pairs: &[_]| value(&read_line(&line, pairs).unwrap(), "listen");
        assert_eq!(listen(command.to_owned(), &[]), ("127.0.0.1:1".to_owned(), Origin::Default), "{command}");
        let with_file = format!("{command} --config {file}");
        assert_eq!(listen(with_file.clone(), &[]), ("file".to_owned(), Origin::File(2)), "{command}");
        let both = listen(with_file.clone(), &variable);
        assert_eq!(both, ("env".to_owned(), of_environment("ORDERLY_LISTEN")), "{command}");
        if command != "config" {
            let all = listen(format!("{with_file} --listen flag"), &variable);
            assert_eq!(all, ("flag".to_owned(), Origin::Flag), "{command}");
        }
        let read = read_line(command, &[("ORDERLY_CONFIG", file.as_str())]).unwrap();
        assert_eq!(value(&read, "partitions"), ("4".to_owned(), Origin::File(3)), "{command}");
    }
}

#[test]
fn what_the_command_gets_is_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "no-demo-data = true\npeers = [\"a\", 2]\npayment-window = '3s'\nroles=['web']");
    let read = read_line(&format!("serve --config {file}"), &[("ORDERLY_PARTITIONS", "3")]).unwrap();
    let serve = read.matches.subcommand_matches("serve").unwrap();
    assert!(serve.get_flag("no_demo_data"));
    assert_eq!(serve.get_many::<String>("peers").unwrap().collect::<Vec<_>>(), ["a", "2"]);
    assert_eq!(serve.get_many::<String>("roles").unwrap().collect::<Vec<_>>(), ["web"]);
    assert_eq!(serve.get_one::<u32>("partitions"), Some(&3));
    assert_eq!(serve.get_one::<std::time::Duration>("window").unwrap().as_secs(), 3);
    assert_eq!(serve.get_one::<String>("redis_url"), None);
}

#[test]
fn an_empty_variable_is_not_set() {
    let empty = ["ORDERLY_LISTEN", "REDIS_URL", "ORDERLY_NO_DEMO_DATA", "ORDERLY_PARTITIONS", "ORDERLY_CONFIG"];
    let read = read_line("up", &empty.map(|name| (name, ""))).unwrap();
    assert_eq!(value(&read, "listen").1, Origin::Default);
    assert_eq!(value(&read, "redis-url").1, Origin::Nowhere);
    assert_eq!(value(&read, "partitions"), ("8".to_owned(), Origin::Default));
    let read = read_line("serve order", &[("ORDERLY_ROLES", ""), ("ORDERLY_PEERS", " , ")]).unwrap();
    assert_eq!(value(&read, "peers").1, Origin::Nowhere);
}

#[test]
fn a_variable_that_is_no_text_is_refused_by_its_name() {
    use std::os::unix::ffi::OsStringExt as _;
    let variable = ("ORDERLY_PARTITIONS".into(), OsString::from_vec(vec![0xff]));
    let refused = read(command(), &["orderly".into()], &Environment::from([variable])).err().unwrap();
    let Refusal::Settings(wrong) = refused else { panic!("{refused:?}") };
    assert_eq!(wrong, ["ORDERLY_PARTITIONS: partitions: is not UTF-8"]);
}

#[test]
fn a_switch_is_a_truth_value_everywhere_and_its_flag_can_take_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let on = file(folder.path(), "no-demo-data = true");
    let is_on = |line: &str, variable: &str| {
        let read = read_line(line, &[("ORDERLY_NO_DEMO_DATA", variable)]).unwrap();
        read.matches.subcommand_matches("up").unwrap().get_flag("no_demo_data")
    };
    for (text, expected) in [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("off", false)]
    {
        assert_eq!(is_on("up", text), expected, "{text}");
    }
    assert!(is_on(&format!("up --config {on}"), ""));
    assert!(!is_on(&format!("up --config {on}"), "no"));
    assert!(!is_on(&format!("up --config {on} --no-demo-data=false"), "1"));
    assert!(is_on("up --no-demo-data", "0"));
    assert_eq!(
        refusal("up", &[("ORDERLY_NO_DEMO_DATA", "2")]),
        "ORDERLY_NO_DEMO_DATA: no-demo-data: '2' is neither true nor false"
    );
}

#[test]
fn a_list_comes_from_anywhere_and_behind_the_users_own_dashes() {
    let roles = |line: &str, pairs: &[_]| {
        let read = read_line(line, pairs).unwrap();
        let serve = read.matches.subcommand_matches("serve").unwrap();
        let roles: Vec<String> = serve.get_many("roles").unwrap().cloned().collect();
        roles.join(" ")
    };
    let variable = [("ORDERLY_ROLES", "web, query"), ("ORDERLY_PEERS", "a,b")];
    assert_eq!(roles("serve", &variable), "web query");
    assert_eq!(roles("serve --peers c", &variable), "web query");
    assert_eq!(roles("serve --listen x --", &variable), "web query");
    assert_eq!(roles("serve order -- web", &variable), "order web");
    assert_eq!(
        refusal("serve", &[("ORDERLY_ROLES", "web,wbe")]),
        "ORDERLY_ROLES: roles: 'wbe' is none of order, query, web"
    );
}

#[test]
fn what_is_required_is_missed_by_all_its_names() {
    let said = refusal("serve", &[]);
    for name in ["<ROLE>", "ORDERLY_ROLES", "roles", "--config"] {
        assert!(said.contains(name), "{name} is not in {said}");
    }
    // An argument that needs another finds it wherever that is from.
    let said = refusal("serve order", &[("ORDERLY_TLS", "on")]);
    assert!(said.contains("--cert") && said.contains("ORDERLY_CERT"), "{said}");
    assert!(read_line("serve order --tls on", &[("ORDERLY_CERT", "here")]).is_ok());
}

#[test]
fn every_fault_of_a_file_is_told_with_its_line_and_the_settings_name() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("# a\n\npayment-window = \"soon\"", "line 3: payment-window: 'soon': expected number at 0"),
        ("payment_window = \"1s\"", "line 1: payment_window: no such setting; is payment-window meant?"),
        ("--listen = \"x\"", "line 1: --listen: no such setting; is listen meant?"),
        ("colour = 1", "line 1: colour: no such setting; `orderly config --template up` lists them"),
        ("config = \"a.toml\"", "line 1: config: no such setting; `orderly config --template up` lists them"),
        ("partitions = 9", "line 1: partitions: '9': 9 is not in 1..9"),
        ("partitions = 0x10", "line 1: partitions: '16': 16 is not in 1..9"),
        ("partitions = true", "line 1: partitions: 'true': invalid digit found in string"),
        ("listen = [\"a\"]", "line 1: listen: takes one value, and this is a list"),
        ("listen = \"\"", "line 1: listen: is empty; leave the line out if nothing is meant"),
        ("peers = []", "line 1: peers: is empty"),
        ("peers = [[1]]", "line 1: peers: is a list in a list"),
        ("\n[up]\nlisten = 'x'", "line 2: up: is a table"),
        ("listen.a = 'x'", "line 1: listen: is a table"),
        ("no-demo-data = 'perhaps'", "line 1: no-demo-data: 'perhaps' is neither true nor false"),
        ("listen = 'a'\n\nlisten = 'b'", "line 3: listen: is set twice"),
        ("listen = 'a'\nlisten: b", "line 2: is not TOML: "),
        ("a\u{0}", "line 1: is not TOML: "),
    ] {
        let path = file(folder.path(), text);
        let told = refusal(&format!("up --config {path}"), &[]);
        assert!(told.starts_with(&format!("{path}: {said}")), "{text}: {told}");
        // Whether the value would have been used or not.
        assert_eq!(refusal(&format!("config up --listen y --config {path}"), &[("ORDERLY_PARTITIONS", "2")]), told);
    }
    let path = file(folder.path(), "partitions = 9\nlisten = 'ok'\nlistne = 1");
    assert_eq!(refusal(&format!("--config {path}"), &[("ORDERLY_PIN", "x")]).lines().count(), 3, "all are told");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none.toml"), folder.path().to_owned()] {
        let path = path.display().to_string();
        for (line, pairs) in
            [(format!("up --config {path}"), &[][..]), ("".to_owned(), &[("ORDERLY_CONFIG", path.as_str())])]
        {
            let told = refusal(&line, pairs);
            assert!(told.starts_with(&path) && told.contains("--config, ORDERLY_CONFIG"), "{told}");
        }
    }
    let path = folder.path().join("latin");
    std::fs::write(&path, b"listen = 'a'\n# caf\xe9").unwrap();
    assert_eq!(
        refusal(&format!("--config {}", path.display()), &[]),
        format!("{}: line 2: is not UTF-8", path.display())
    );
    // A command without settings does not look.
    assert!(read_line("audit", &[("ORDERLY_CONFIG", "none.toml"), ("ORDERLY_PARTITIONS", "x")]).is_ok());
}

#[test]
fn a_file_for_several_commands_is_checked_for_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "cert = 'c'\nlisten = 'x'");
    let read = read_line(&format!("up --config {good}"), &[]).unwrap();
    assert_eq!(value(&read, "listen").1, Origin::File(2));
    let bad = file(folder.path(), "roles = 'wbe'");
    assert!(refusal(&format!("up --config {bad}"), &[]).contains("line 1: roles: 'wbe' is none of"));
}

#[test]
fn a_flag_where_it_would_do_nothing_is_refused() {
    assert!(refusal("--listen x up", &[]).contains("--listen is before 'up'"));
    assert!(refusal("--config x audit", &[]).contains("--config is before 'audit'"));
    assert!(refusal("--no-demo-data audit", &[]).contains("--no-demo-data is before 'audit'"));
    assert!(refusal("--config a up --config b", &[]).contains("twice"));
    assert!(refusal("config --template serve --listen x", &[]).contains("--listen is without effect"));
    assert!(refusal("audit --config x", &[]).contains("--config"));
}

#[test]
fn no_refusal_has_a_secret_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let unquoted = file(folder.path(), "redis-url = redis://ada:hunter2@host");
    for (line, pairs) in [
        ("up --pin hunter2", &[][..]),
        ("--pin=hunter2", &[]),
        ("config up --pin hunter2", &[]),
        ("up", &[("ORDERLY_PIN", "hunter2")]),
        ("up redis://ada:hunter2@host", &[]),
        ("redis://ada:hunter2@host", &[]),
        ("up --listen a --redis-ulr=redis://ada:hunter2@host", &[]),
        ("up --partitions redis://ada:hunter2@host", &[]),
        (&format!("up --config {unquoted}"), &[]),
    ] {
        let told = refusal(line, pairs);
        assert!(!told.contains("hunter2") && !told.is_empty(), "{line}: {told}");
    }
    let pin = file(folder.path(), "pin = 'hunter2'");
    let told = refusal(&format!("up --config {pin}"), &[]);
    assert_eq!(told, format!("{pin}: line 1: pin: its value makes no sense (hidden)"));
    let mistaken = file(folder.path(), "partitions = 'redis://ada:hunter2@host'");
    let told = refusal(&format!("up --config {mistaken}"), &[]);
    assert!(told.contains("partitions: 'redis://ada:***@host'"), "{told}");
    let read = read_line("up --redis-url redis://ada:hunter2@host", &[]).unwrap();
    assert!(!format!("{:?}", read.effective).contains("hunter2"));
    // clap looks variables up itself, and remembers what it has seen.
    let seen = std::env::var("PATH").unwrap();
    let command = command().mut_subcommand("up", |up| up.mut_arg("redis_url", |arg| arg.env("PATH")));
    let read = super::read(command, &["orderly".into()], &Environment::new()).unwrap();
    assert!(!format!("{:?}", read.effective).contains(&seen));
}

#[test]
fn a_secret_in_a_file_that_others_may_read_is_worth_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let warned = |text: &str, mode: u32| {
        let path = file(folder.path(), text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read_line(&format!("up --config {path}"), &[]).unwrap().warnings.join("\n")
    };
    let secret = "redis-url = 'redis://ada:hunter2@host'";
    let warning = warned(secret, 0o644);
    assert!(warning.contains("644") && warning.contains("redis-url") && !warning.contains("hunter2"), "{warning}");
    assert_eq!(warned(secret, 0o600), "");
    assert_eq!(warned("redis-url = 'redis://host'\nlisten = 'x'", 0o644), "");
}

#[test]
fn a_misspelt_variable_is_worth_a_warning() {
    let read =
        read_line("up", &[("ORDERLY_PAYMENT_WINDWO", "1s"), ("ORDERLY_LOG", "info"), ("ORDERLY_PORT", "1")]).unwrap();
    assert_eq!(read.warnings.len(), 1, "{:?}", read.warnings);
    assert!(read.warnings[0].contains("ORDERLY_PAYMENT_WINDOW meant"), "{:?}", read.warnings);
}
