//! The shop's three cookies, read and written in one place.
//!
//! All are `HttpOnly` (no script reads them), `SameSite=Lax` (another site's forms do not carry
//! them) and, where the shop is served over TLS, `Secure`.

use axum::http::{HeaderMap, HeaderValue, header};

/// The session's token, of who is logged in.
pub(crate) const SESSION: &str = "orderly_session";
/// A random id of everybody, so that forms can be told from foreign ones before a log-in.
pub(crate) const VISITOR: &str = "orderly_visitor";
/// See `cart.rs`.
pub(crate) const CART: &str = "orderly_cart";

/// The value of a cookie, if it was sent as text.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// How cookies are written here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jar {
    /// Whether browsers may send them over TLS only.
    pub(crate) secure: bool,
}

impl Jar {
    /// A `Set-Cookie` value. Lives for `seconds`, or until the browser is closed. The value is
    /// the caller's to keep within the characters of a cookie.
    pub(crate) fn set(self, name: &str, value: &str, seconds: Option<i64>) -> HeaderValue {
        let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}");
        HeaderValue::try_from(text).expect("our cookies hold plain characters only")
    }

    /// Takes a cookie away.
    pub(crate) fn clear(self, name: &str) -> HeaderValue {
        self.set(name, "", Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xorderly_cart=2; orderly_cart=A:1~B:2"));
        headers.append(header::COOKIE, HeaderValue::from_static("orderly_session=s=t"));
        assert_eq!(read(&headers, CART), Some("A:1~B:2"));
        assert_eq!(read(&headers, SESSION), Some("s=t"));
        assert_eq!(read(&headers, VISITOR), None);
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        let jar = Jar { secure: true };
        assert_eq!(jar.set("n", "v", Some(60)), "n=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        let jar = Jar { secure: false };
        assert_eq!(jar.clear("n"), "n=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
