//! What a browser gets, and that it is all there is.

use std::io::Read as _;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;

use super::*;

async fn get_with(path: &str, tag: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    router().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible")
}

fn text(file: &File) -> &'static str {
    std::str::from_utf8(file.bytes).expect("UTF-8")
}

/// Every `src` and `href` of the page.
fn links() -> Vec<&'static str> {
    let page = text(&PAGE);
    let after = page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1));
    after.filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_page_loads_nothing_but_its_own_files_and_all_of_them_are_there() {
    let files: Vec<_> = links().into_iter().filter(|link| link.starts_with("/explorer/")).collect();
    assert_eq!(files.len(), FILES.len());
    for file in files {
        let response = get_with(file, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{file}");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let own = |link: &&str| link.starts_with('/') && !link.starts_with("//") || *link == "data:,";
    let elsewhere: Vec<_> = links().into_iter().filter(|link| !own(link)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(!text(&PAGE).contains("<script>") && !text(&PAGE).contains("onclick"), "the policy would refuse it");
}

#[tokio::test]
async fn the_page_may_run_and_reach_nothing_of_another_host() {
    let page = get_with(PATH, None).await;
    assert_eq!(page.headers()[CONTENT_TYPE], HTML);
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("unsafe-eval") && !policy.contains('*'), "{policy}");
}

#[tokio::test]
async fn a_file_that_a_browser_has_is_not_sent_again() {
    let first = get_with("/explorer/graphiql.min.js", None).await;
    assert_eq!(first.headers()[CONTENT_ENCODING], "gzip");
    let tag = first.headers()[ETAG].to_str().expect("ASCII");
    assert_eq!(get_with("/explorer/graphiql.min.js", Some(tag)).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get_with("/explorer/graphiql.min.js", Some("\"other\"")).await.status(), StatusCode::OK);
    for none in ["/explorer/README.md", "/explorer/..", "/explorer/vendor", "/explorer/graphiql.min.js.gz"] {
        assert_eq!(get_with(none, None).await.status(), StatusCode::NOT_FOUND, "{none}");
    }
}

/// What `gzip` makes of it: an independent reader of the committed files.
fn inflated(file: &File) -> Vec<u8> {
    let path = format!("{}/explorer/vendor/{}.gz", env!("CARGO_MANIFEST_DIR"), file.name);
    let mut gzip =
        Command::new("gzip").args(["-dc", &path]).stdout(Stdio::piped()).spawn().expect("gzip is on the machine");
    let mut bytes = Vec::new();
    gzip.stdout.take().expect("piped").read_to_end(&mut bytes).expect("reads");
    assert!(gzip.wait().expect("ends").success());
    bytes
}

#[test]
fn the_vendored_files_are_those_that_the_readme_names() {
    let readme = include_str!("../../../explorer/README.md");
    for file in FILES.iter().filter(|file| file.compressed) {
        let hash = Sha256::digest(inflated(file)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(readme.contains(&format!("`{}` `{hash}`", file.name)), "{} {hash}", file.name);
    }
}
