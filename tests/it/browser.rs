//! A headless Chromium of a test's own, driven over WebDriver (chromedriver, fantoccini).
//!
//! Each [`Browser`] is one chromedriver on a free port and one Chromium with a new, empty profile.
//! Chromium talks to chromedriver through a pipe (`--remote-debugging-pipe`) and ends when that
//! closes, so that guarding chromedriver guards both. Waiting for a page is
//! `browser.page.wait().for_element(…)`; what a test saw is kept as a picture by
//! [`Browser::screenshot`].

#![allow(dead_code, reason = "each test file uses its own part of the browser")]

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::servers::guard::{Guarded, tail};
use crate::servers::{PATIENCE, program, until};

/// No window, no sandbox (a container has no right to make one), and no calls home.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// One browser with one window, gone when this value is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    /// The page: go to, find, click, type, wait.
    pub(crate) page: Client,
    /// Where chromedriver listens.
    driver_url: String,
    driver: Guarded,
}

impl Browser {
    /// Opens a page of 1280 by 900 pixels.
    ///
    /// # Errors
    /// Chromium or chromedriver is not installed (the error names the package) or does not start.
    pub(crate) async fn open() -> Result<Self> {
        let chromium = chromium()?;
        let mut driver = Guarded::open("browser")?;
        let driver_url = format!("http://127.0.0.1:{}", start_driver(&mut driver).await?);
        let profile = driver.folder().join("profile");
        let mut arguments: Vec<String> = FLAGS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), json!({ "binary": chromium, "args": arguments }));
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver_url)
            .await
            .with_context(|| tail(&driver.folder().join("log"), 20))?;
        let browser = Self { page, driver_url, driver };
        browser.resize(1280, 900).await?;
        Ok(browser)
    }

    /// Sets the size of the page in pixels, for example to a telephone's.
    ///
    /// A window has borders and is never narrower than 500 pixels, hence not its size is set but
    /// that of the emulated screen, by a command of the Chrome DevTools Protocol.
    ///
    /// # Errors
    /// The browser is gone.
    pub(crate) async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await
    }

    /// Shows pages as to somebody who prefers dark ones, or light ones.
    ///
    /// # Errors
    /// The browser is gone.
    pub(crate) async fn prefer_dark(&self, dark: bool) -> Result<()> {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await
    }

    /// What the browser had to complain of since it was last asked: errors of scripts, resources
    /// that did not load, breaches of a content security policy.
    ///
    /// # Errors
    /// The browser is gone.
    pub(crate) async fn complaints(&self) -> Result<Vec<String>> {
        let answer = self.post("se/log", json!({ "type": "browser" })).await?;
        let entries = answer["value"].as_array().cloned().unwrap_or_default();
        let bad = entries.iter().filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        Ok(bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// A command of the Chrome DevTools Protocol.
    async fn devtools(&self, command: &str, params: Value) -> Result<()> {
        self.post("goog/cdp/execute", json!({ "cmd": command, "params": params })).await?;
        Ok(())
    }

    /// What chromedriver can do beside WebDriver.
    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let session = self.page.session_id().await?.context("a session until the end")?;
        let url = format!("{}/session/{session}/{path}", self.driver_url);
        let answer = reqwest::Client::new().post(url).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Keeps what the window shows as `screenshots/<name>.png` in Cargo's target folder, and
    /// returns that path.
    ///
    /// # Errors
    /// The browser is gone, or the file cannot be written.
    pub(crate) async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("a target folder")?;
        let folder = target.join("screenshots");
        std::fs::create_dir_all(&folder)?;
        let picture = folder.join(format!("{name}.png"));
        std::fs::write(&picture, self.page.screenshot().await?)?;
        Ok(picture)
    }

    /// The folder of its profile and log.
    pub(crate) fn folder(&self) -> &Path {
        self.driver.folder()
    }

    /// The process id of chromedriver.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.driver.pid()
    }
}

/// Starts chromedriver on a port that it chooses and returns the port.
async fn start_driver(driver: &mut Guarded) -> Result<u16> {
    let chromedriver = match std::env::var_os("ORDERLY_TEST_CHROMEDRIVER") {
        Some(path) => path.into(),
        None => program(&["chromedriver", "chromium.chromedriver"], &["/snap/bin".into()], "chromium-driver")?,
    };
    let folder = driver.folder().to_owned();
    let log_file = folder.join("log");
    let log = File::create(&log_file)?;
    driver.start(&chromedriver, ["--port=0"], (log.try_clone()?, log), "KILL", |command| {
        // Whatever it keeps for its user, it keeps there.
        command.env("HOME", &folder).env("TMPDIR", &folder).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    })?;
    until("chromedriver starts", PATIENCE, async || {
        let printed = tail(&log_file, 20);
        if let Some((_, rest)) = printed.split_once("started successfully on port ") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return Ok(Some(digits.parse()?));
        }
        match driver.exited()? {
            Some(status) => bail!("chromedriver ended with {status}:\n{printed}"),
            None => Ok(None),
        }
    })
    .await
}

fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ORDERLY_TEST_CHROMIUM") {
        return Ok(path.into());
    }
    let names = ["chromium", "google-chrome"];
    program(&names, &["/snap/bin".into()], "chromium")
}
