//! The command line as a user meets it: what it says, how it ends, what it leaves behind.
//!
//! Exit codes mean something: 0 is done, 1 is refused or broken (with a reason and what to do), 2 is
//! a command that is wrong in itself. Every refusal names its cause and the flag that helps.

mod audit;
mod config;
mod import;
mod serve;
mod stopping;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::shop::{Shop, ShopOptions};

const CUSTOMER: &str = "ada@example.com";
const OPERATOR: &str = "operator@example.com";
const PASSWORD: &str = "orderly";
const APPROVED: &str = "4242 4242 4242 4242";
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Fails unless it ended with this code and said all of this on standard error, without a
    /// panic.
    pub(crate) fn assert_refused(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.err.contains("panicked"), "{}", self.err);
        for said in said {
            assert!(self.err.contains(said), "{said:?} is not in {}", self.err);
        }
    }
}

/// Runs `orderly` to its end, in a folder of its own or the one that is given.
pub(crate) async fn orderly<A: AsRef<std::ffi::OsStr>>(
    folder: Option<&Path>,
    args: impl IntoIterator<Item = A>,
) -> Ended {
    let own = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderly"));
    command.args(args).current_dir(folder.unwrap_or(own.path())).stdin(Stdio::null()).kill_on_drop(true);
    // Of the operators' port there is one for each of the many shops.
    command.env("ORDERLY_GRPC_LISTEN", "127.0.0.1:0");
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, command.output()).await.expect("it ends by itself").expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: status.code().expect("no signal ended it"), out: text(stdout), err: text(stderr) }
}

/// A shop on a free port in a folder of the test's own.
async fn shop_in(folder: &Path) -> Shop {
    let options = ShopOptions { data_dir: Some(folder.to_owned()), ..ShopOptions::default() };
    Shop::start(options).await.expect("the shop starts")
}

#[tokio::test]
async fn the_help_names_every_command_and_its_flags() {
    let help = orderly(None, ["--help"]).await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for word in [
        "up",
        "import",
        "audit",
        "schema",
        "dead-letters",
        "events",
        "read-model",
        "ops",
        "--listen",
        "--grpc-listen",
        "--data-dir",
        "--payment-window",
        "--no-demo-data",
        "127.0.0.1:8080",
    ] {
        assert!(help.out.contains(word), "{word} is not in {}", help.out);
    }
    for (command, word) in [("up", "--listen"), ("import", "--replay"), ("audit", "--json"), ("schema", "graphql")] {
        let help = orderly(None, [command, "--help"]).await;
        assert!(help.code == 0 && help.out.contains(word), "{command}: {help:?}");
    }
    let version = orderly(None, ["--version"]).await;
    assert_eq!((version.code, version.out.trim()), (0, concat!("orderly ", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_command_that_is_wrong_in_itself_ends_with_two_and_says_where() {
    for (args, said) in [
        (&["--colour"][..], "--colour"),
        (&["up", "--listen"], "--listen"),
        (&["up", "--listen", "localhost"], "--listen"),
        (&["up", "--listen", "127.0.0.1:99999"], "--listen"),
        (&["up", "--payment-window", "soon"], "--payment-window"),
        (&["up", "--payment-window", "-3s"], "-3"),
        (&["open"], "open"),
        (&["import"], "FILE.CSV"),
        (&["audit", "--yaml"], "--yaml"),
        (&["schema"], "graphql"),
        (&["schema", "xml"], "xml"),
        (&["import", "sales.csv", "--to", "ftp://shop"], "--to"),
        (&["import", "there-is-no-such-file.csv"], "there-is-no-such-file.csv"),
    ] {
        let ended = orderly(None, args).await;
        assert_eq!(ended.out.len().min(1), usize::from(!ended.out.is_empty() && said == "graphql"), "{args:?}");
        ended.assert_refused(2, &[]);
        assert!(ended.err.contains(said) || ended.out.contains(said), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn the_printed_schema_is_the_committed_one() {
    let printed = orderly(None, ["schema", "graphql"]).await;
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    assert!(
        printed.out == std::fs::read_to_string(committed).expect("is there"),
        "orderly schema graphql > schema.graphql"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_flag_that_helps() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["up"][..], &[]] {
        let ended = orderly(Some(folder.path()), args.iter().chain(&["--listen", &address])).await;
        ended.assert_refused(1, &[&address, "--listen", "in use"]);
        assert_eq!(ended.out, "");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("is there").collect();
    assert!(left.is_empty(), "nothing is made for a shop that cannot open: {left:?}");
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused_with_the_process_that_holds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = shop_in(folder.path()).await;
    let path = folder.path().display().to_string();
    let second = orderly(None, ["up", "--listen", "127.0.0.1:0", "--data-dir", &path]).await;
    let pid = shop.pid().expect("runs").to_string();
    second.assert_refused(1, &[&path, &format!("process {pid}"), "--data-dir"]);
    shop.client().log_in(CUSTOMER, PASSWORD).await.expect("the first goes on");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // Works for root, too, who may write everywhere.
    std::fs::write(folder.path().join("a-file"), "no folder").expect("is written");
    std::fs::create_dir_all(folder.path().join("odd/orderly.lock")).expect("is made");
    std::fs::create_dir_all(folder.path().join("garbage")).expect("is made");
    std::fs::write(folder.path().join("garbage/order.db"), "this is no database, ".repeat(500)).expect("is written");
    for (data_dir, said) in [
        (path("a-file"), "--data-dir"),
        (path("a-file/below"), "--data-dir"),
        (path("odd"), "cannot be written"),
        (path("garbage"), "stores in"),
    ] {
        let ended = orderly(None, ["up", "--listen", "127.0.0.1:0", "--data-dir", &data_dir]).await;
        ended.assert_refused(1, &[&data_dir, said]);
        assert_eq!(ended.out, "", "it does not say that it listens");
    }
    // A folder that is not there is made, with all above it, and is nobody else's to read.
    let deep = folder.path().join("new/and/deep");
    drop(shop_in(&deep).await);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = deep.metadata().expect("is made").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[tokio::test]
async fn a_database_or_broker_that_is_not_there_is_named() {
    let closed = format!("127.0.0.1:{}", crate::servers::free_port().expect("a port"));
    let with = async |flag: &str, value: &str| {
        orderly(None, ["up", "--listen", "127.0.0.1:0", "--data-dir", "data", flag, value]).await
    };
    let redis = with("--redis-url", &format!("redis://{closed}")).await;
    redis.assert_refused(1, &["broker", "--redis-url"]);
    let no_name = with("--database-url", &format!("postgres://{closed}/orders")).await;
    no_name.assert_refused(1, &["{service}"]);
    let postgres = with("--database-url", &format!("postgres://secret:hunter2@{closed}/{{service}}")).await;
    postgres.assert_refused(1, &["database"]);
    assert!(!postgres.err.contains("hunter2"), "a password is nobody's to read: {}", postgres.err);
}

#[tokio::test]
async fn a_shop_without_demo_data_has_neither_products_nor_log_ins() {
    let shop = Shop::start(ShopOptions::with_args(["--no-demo-data"])).await.expect("the shop starts");
    let products = shop.client().query("{ products { totalCount } }", serde_json::json!({})).await.expect("answers");
    assert_eq!(products["products"]["totalCount"], 0);
    let refused = shop.client().log_in(CUSTOMER, PASSWORD).await.expect_err("has no such account");
    assert!(refused.has_code("UNAUTHENTICATED"), "{refused}");
    assert!(!shop.stdout().contains(CUSTOMER) && !shop.stdout().contains("password"), "{}", shop.stdout());
}
