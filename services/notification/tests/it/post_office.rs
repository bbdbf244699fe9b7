//! A real SMTP server in a thread of the test, on a port of its own.
//!
//! It behaves as its recipients are called: `nobody@` does not exist, `later@` and
//! `locked@` are turned away the first time, and of `silent@` it takes the first
//! mail and says nothing until the end.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use mailin::response::{INTERNAL_ERROR, OK};
use mailin::{Action, Handler, Response, SessionBuilder};
use orderly_notification::{Mailer, Settings};

const FROM: &str = "Orderly <shop@orderly.example>";

/// A mail as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    /// Headers and body.
    pub(crate) text: String,
}

impl Mail {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> String {
        let headers = self.text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let line = headers.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {headers}"))
    }
}

pub(crate) struct PostOffice {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    open: AtomicBool,
    /// Who has been turned away, or kept waiting, once.
    met: Mutex<HashSet<String>>,
    mails: Mutex<Vec<Mail>>,
    speaks_again: Mutex<bool>,
    speaks: Condvar,
}

impl PostOffice {
    pub(crate) fn open() -> Self {
        let office = Self::closed();
        office.unlock();
        office
    }

    /// One that hangs up on everybody until it is unlocked.
    pub(crate) fn closed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                if shared.open.load(Ordering::SeqCst) {
                    let clerk = Clerk { state: shared.clone(), to: Vec::new(), text: Vec::new() };
                    // A client that hangs up is its own business.
                    thread::spawn(move || drop(serve(connection, clerk)));
                }
            }
        });
        Self { port, state }
    }

    pub(crate) fn unlock(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn settings(&self) -> Settings {
        let mailer = Mailer::try_new(&format!("smtp://127.0.0.1:{}", self.port), FROM).unwrap();
        Settings { mailer: Some(mailer), ..Settings::default() }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.state.mails.lock().unwrap().clone()
    }

    /// The subject lines of what has come in.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.mails().iter().map(|mail| mail.header("Subject")).collect()
    }

    /// Whether this recipient has been turned away, or is being kept waiting.
    pub(crate) fn has_met(&self, to: &str) -> bool {
        self.state.met.lock().unwrap().contains(to)
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        *self.state.speaks_again.lock().unwrap() = true;
        self.state.speaks.notify_all();
    }
}

/// One connection, from the greeting to the farewell.
fn serve(connection: TcpStream, clerk: Clerk) -> io::Result<()> {
    let mut session = SessionBuilder::new("post.example").build(connection.peer_addr()?.ip(), clerk);
    let mut lines = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    session.greeting().write_to(&mut writer)?;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let response = session.process(&line);
        line.clear();
        if response.action != Action::NoReply {
            response.write_to(&mut writer)?;
        }
        if response.action == Action::Close {
            break;
        }
    }
    Ok(())
}

struct Clerk {
    state: Arc<State>,
    to: Vec<String>,
    text: Vec<u8>,
}

impl Clerk {
    fn meets_first(&self, to: &str) -> bool {
        self.state.met.lock().unwrap().insert(to.to_owned())
    }
}

impl Handler for Clerk {
    fn mail(&mut self, _: IpAddr, _: &str, _: &str) -> Response {
        (self.to, self.text) = (Vec::new(), Vec::new());
        OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match to.split('@').next().unwrap() {
            "nobody" => return Response::custom(550, format!("there is no {to} here")),
            "later" if self.meets_first(to) => return INTERNAL_ERROR,
            "locked" if self.meets_first(to) => return Response::custom(530, "log in first".to_owned()),
            _ => self.to.push(to.to_owned()),
        }
        OK
    }

    fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(data);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let mail = Mail { to: self.to.clone(), text: String::from_utf8(self.text.clone()).unwrap() };
        self.state.mails.lock().unwrap().push(mail);
        let silent = self.to.iter().find(|to| to.starts_with("silent@"));
        if silent.is_some_and(|to| self.meets_first(to)) {
            let mut speaks = self.state.speaks_again.lock().unwrap();
            while !*speaks {
                speaks = self.state.speaks.wait(speaks).unwrap();
            }
        }
        OK
    }
}
