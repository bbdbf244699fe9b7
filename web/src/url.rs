//! Percent-encoding, and which paths of ours a visitor may be sent on to.
//!
//! Decoding is strict (RFC 3986): a broken escape or bytes that are no UTF-8 are an error, where
//! lenient decoders put a replacement character and let the mistake travel on.

/// Longer than any page of ours; what is longer is not followed.
const LONGEST_PATH: usize = 512;

/// Escapes everything but the unreserved characters of RFC 3986, so that the result can stand as
/// a path segment, in a query and in a cookie.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Undoes [`encode`]; `None` for a broken escape or bytes that are no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The path, if following it stays in this shop: an open redirect would lend our name to others.
///
/// Browsers read `//host` and `/\host` as another host, and drop tabs and newlines before they
/// look; so both, and every control character, are refused.
pub(crate) fn local_path(path: &str) -> Option<&str> {
    let stays = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= LONGEST_PATH
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    stays.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        for text in ["MUG-1", "a b/c?d&e=f%", "£ ü 日本", "~:;,\"<>", ""] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("A:1~B/2"), "A%3A1~B%2F2");
    }

    #[test]
    fn broken_escapes_and_bad_utf_8_are_errors() {
        for text in ["%", "%4", "%zz", "%ff", "%C3%28", "%+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn only_paths_of_this_shop_are_followed() {
        for good in ["/", "/checkout", "/orders/0198?version=3", "/?q=tea%20pot"] {
            assert_eq!(local_path(good), Some(good));
        }
        let long = format!("/{}", "a".repeat(LONGEST_PATH));
        for bad in [
            "",
            "checkout",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: b=c",
            "/ü",
            &long,
        ] {
            assert_eq!(local_path(bad), None, "{bad}");
        }
    }
}
