//! Settings by flag, environment and file, as the real binary takes them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Ended, PATIENCE};

/// What must never be printed.
const PASSWORD: &str = "hunter2";
/// Has the table of settings, between these two lines.
const DOCUMENT: &str = "docs/settings.md";
const BEGIN: &str = "<!-- orderly config --markdown -->\n";
const END: &str = "<!-- end of orderly config --markdown -->\n";

/// Runs `orderly` with this environment and none of the settings of whoever runs the tests.
async fn orderly(args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderly"));
    command.args(args).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("ORDERLY_"));
        if ours || ["REDIS_URL", "DATABASE_URL"].map(OsStr::new).contains(&name.as_os_str()) {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    let output = timeout(PATIENCE, command.output()).await.expect("it ends by itself").expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("no signal ended it");
    let ended = Ended { code, out: text(output.stdout), err: text(output.stderr) };
    let printed = format!("{}{}", ended.out, ended.err);
    assert!(!printed.contains(PASSWORD), "{args:?} printed the password: {printed}");
    assert!(!printed.contains("panicked"), "{args:?}: {printed}");
    ended
}

/// Writes a file that only its owner may read.
fn file(folder: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("orderly.toml");
    std::fs::write(&path, text).expect("is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("is ours");
    path.display().to_string()
}

/// What `orderly config --json` says of a setting: its value, and where that is from.
fn setting<'a>(printed: &'a Value, name: &str) -> (&'a Value, &'a str) {
    let settings = printed["settings"].as_array().expect("a list");
    let setting = settings.iter().find(|setting| setting["setting"] == name).expect("is a setting");
    (&setting["value"], setting["from"].as_str().expect("a text"))
}

async fn effective(args: &[&str], environment: &[(&str, &str)]) -> Value {
    let args = [&["config", "--json"], args].concat();
    let ended = orderly(&args, environment).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}: {}", ended.out);
    serde_json::from_str(&ended.out).expect("JSON")
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path(), "# of the file\npayment-window = \"4m\"\nno-demo-data = true\n");
    let with_file = [("ORDERLY_CONFIG", file.as_str())];
    let with_both = [with_file[0], ("ORDERLY_PAYMENT_WINDOW", "3m")];
    for (args, environment, value, from) in [
        (&["up"][..], &[][..], "15m", "default"),
        (&["up"], &with_file, "4m", "file"),
        (&["up"], &with_both, "3m", "environment"),
        (&["up", "--payment-window", "2m"], &with_both, "2m", "flag"),
        // `up` is the default.
        (&[], &with_both, "3m", "environment"),
        (&["--config", &file], &[], "4m", "file"),
        (&["up", "--config", &file], &[("ORDERLY_CONFIG", "there-is-no-such-file")], "4m", "file"),
        // What is set and empty is not set.
        (&["up"], &[with_file[0], ("ORDERLY_PAYMENT_WINDOW", "")], "4m", "file"),
        (&["up"], &[("ORDERLY_CONFIG", "")], "15m", "default"),
    ] {
        let printed = effective(args, environment).await;
        let (seen, seen_from) = setting(&printed, "payment-window");
        assert_eq!((seen.as_str(), seen_from), (Some(value), from), "{args:?} {environment:?}");
    }
    let printed = effective(&["up", "--no-demo-data=false"], &with_file).await;
    assert_eq!(setting(&printed, "no-demo-data"), (&Value::Bool(false), "flag"));
}

#[tokio::test]
async fn a_start_has_the_values_that_are_printed() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(folder.path(), &format!("listen = \"{address}\"\n"));
    for args in [&["up", "--config", &file][..], &["--config", &file], &["--config", &file, "up"]] {
        orderly(args, &[]).await.assert_refused(1, &[&address, "in use"]);
    }
    orderly(&["up"], &[("ORDERLY_LISTEN", &address)]).await.assert_refused(1, &[&address, "in use"]);
    // And where the file says so, but not the flag.
    let missing = ["up", "--config", &file, "--listen", "127.0.0.1:0", "--redis-url", "nonsense"];
    let ended = orderly(&missing, &[]).await;
    ended.assert_refused(1, &["--redis-url"]);
}

#[tokio::test]
async fn whatever_is_wrong_stops_the_start_and_the_look_with_the_same_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file =
        file(folder.path(), "listen = \"127.0.0.1:0\"\npayment-window = \"soon\"\npayment_windwo = 3\nlisten.x = 1");
    let twice = format!("orderly: {file}: line 4: ");
    let start = orderly(&["up", "--config", &file], &[]).await;
    start.assert_refused(1, &[&twice]);

    let text = "payment-window = \"soon\"\npayment_windwo = 3\nlisten = [\"a\"]\n";
    let path = self::file(folder.path(), text);
    let said = [
        format!("orderly: {path}: line 1: payment-window: 'soon': expected number at 0\n"),
        format!("orderly: {path}: line 2: payment_windwo: no such setting; is payment-window meant?\n"),
        format!("orderly: {path}: line 3: listen: takes one value, and this is a list\n"),
        "orderly: ORDERLY_SHIP_AFTER: ship-after: 'later': expected number at 0\n".to_owned(),
    ];
    let environment = [("ORDERLY_SHIP_AFTER", "later")];
    for args in [&["up", "--config", &path][..], &["config", "--config", &path], &["config", "up", "--config", &path]] {
        let ended = orderly(args, &environment).await;
        assert_eq!((ended.code, ended.out.as_str(), ended.err), (1, "", said.concat()), "{args:?}");
    }
    let ended = orderly(&["up", "--config", "there-is-no-such-file.toml"], &[]).await;
    ended.assert_refused(1, &["there-is-no-such-file.toml", "--config", "ORDERLY_CONFIG"]);
    // A command without settings is not concerned.
    let schema = orderly(&["schema", "graphql"], &[("ORDERLY_CONFIG", &path), environment[0]]).await;
    assert_eq!((schema.code, schema.err.as_str()), (0, ""));
}

#[tokio::test]
async fn a_password_is_hidden_wherever_it_is_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let redis = format!("redis://ada:{PASSWORD}@broker:6379");
    let database = format!("postgres://ada:{PASSWORD}@db/{{service}}?sslmode=require");
    let text = format!("redis-url = \"{redis}\"\ngrpc-token = \"{PASSWORD}\"\n");
    let path = file(folder.path(), &text);
    let secrets = [("DATABASE_URL", database.as_str()), ("ORDERLY_SMTP_URL", PASSWORD)];
    let printed = effective(&["--config", &path], &secrets).await;
    assert_eq!(setting(&printed, "redis-url").0, "redis://ada:***@broker:6379");
    assert_eq!(setting(&printed, "database-url").0, "postgres://ada:***@db/{service}?sslmode=require");
    assert_eq!(setting(&printed, "grpc-token").0, "(hidden)");
    assert_eq!(setting(&printed, "smtp-url").0, "(hidden)");
    let text = orderly(&["config", "--config", &path], &secrets).await;
    for said in ["redis://ada:***@broker:6379", "(hidden)", &format!("{path}:1"), "environment DATABASE_URL"] {
        assert!(text.out.contains(said), "{said} is not in {}", text.out);
    }

    // `orderly` fails the test that sees the password in what it prints.
    assert_eq!(orderly(&["config", "up", "--redis-url", &redis], &secrets).await.code, 0);
    for args in [&["--help"][..], &["up", "--help"], &["config", "serve", "--help"]] {
        let help = orderly(args, &secrets).await;
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{args:?}");
        for said in ["Usage: orderly", "--config <FILE>", "ORDERLY_CONFIG", "redis://user:password@host", "REDIS_URL"] {
            assert!(help.out.contains(said) && !help.out.contains("error:"), "{said} is not in {}", help.out);
        }
    }
    for args in [
        &["up", &redis][..],
        &[&redis],
        &["up", "--listen", &redis],
        &["up", "--redis-ulr", &redis],
        &["up", &format!("--redis-ulr={redis}")],
        &["config", "up", "--redis-url", &redis, "--redis-url", &redis],
    ] {
        orderly(args, &secrets).await.assert_refused(2, &[]);
    }
    let odd = file(folder.path(), &format!("redis-url = {redis}\n"));
    orderly(&["up", "--config", &odd], &[]).await.assert_refused(1, &["line 1"]);
    let odd = file(folder.path(), &format!("redis-url = [\"{redis}\"]\nlisten = \"{redis}\"\n"));
    orderly(&["up", "--config", &odd], &[]).await.assert_refused(1, &["line 1", "line 2"]);
}

#[tokio::test]
async fn the_printed_file_is_valid_as_it_is_and_with_every_default_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = orderly(&["config", "--template"], &[]).await;
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let defaults = effective(&[], &[]).await;
    let names = defaults["settings"].as_array().expect("a list").iter();
    let (set, unset): (Vec<&Value>, Vec<&Value>) = names.partition(|setting| setting["from"] == "default");
    assert!(set.len() > 5 && unset.len() > 2, "{defaults}");

    let path = file(folder.path(), &printed.out);
    let same = effective(&["--config", &path], &[]).await;
    assert_eq!(same["settings"], defaults["settings"]);

    let mut text = printed.out.clone();
    for setting in &set {
        let name = setting["setting"].as_str().expect("a text");
        let line = format!("\n#{name} = ");
        assert!(text.contains(&line), "{name} is not in {text}");
        text = text.replace(&line, &format!("\n{name} = "));
    }
    let path = file(folder.path(), &text);
    let taken_in = effective(&["--config", &path], &[]).await;
    for setting in set {
        let name = setting["setting"].as_str().expect("a text");
        assert_eq!(self::setting(&taken_in, name), (&setting["value"], "file"), "{name}");
    }
    for setting in unset {
        let name = setting["setting"].as_str().expect("a text");
        let variable = setting["environment"].as_str().expect("a text");
        assert!(text.contains(&format!("\n#{name} = ")) && text.contains(variable), "{name} is not in {text}");
    }
}

#[tokio::test]
async fn the_document_lists_the_settings_of_the_binary() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = std::fs::read_to_string(&path).expect("is there");
    let (before, rest) = document.split_once(BEGIN).expect("has the first line");
    let (written, after) = rest.split_once(END).expect("has the last line");
    let printed = orderly(&["config", "--markdown"], &[]).await;
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let said = printed.out;
    for command in ["up", "serve"] {
        assert!(said.contains(&format!("### `orderly {command}`")), "{command} is not in {said}");
    }
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{said}{END}{after}")).expect("is written");
        return;
    }
    assert!(
        written == said,
        "{DOCUMENT} is not what the binary says; run it again with REGENERATE=1 in the environment: {said}"
    );
}

#[tokio::test]
async fn roles_come_from_the_environment_too_and_are_missed_by_their_names() {
    let printed = effective(&["serve"], &[("ORDERLY_ROLES", "order,payment")]).await;
    assert_eq!(setting(&printed, "roles"), (&serde_json::json!(["order", "payment"]), "environment"));
    let missing = orderly(&["serve"], &[("ORDERLY_ROLES", "")]).await;
    missing.assert_refused(2, &["ROLE", "ORDERLY_ROLES", "roles"]);
    assert_eq!(orderly(&["config", "serve"], &[]).await.err.lines().next(), missing.err.lines().next());
    orderly(&["serve"], &[("ORDERLY_ROLES", "order,oder")])
        .await
        .assert_refused(1, &["ORDERLY_ROLES", "'oder'", "payment"]);
}
