//! What strangers type: texts that hope to be run, to break something, or to be too much.

/// A text, and why it is here.
#[derive(Debug, Clone)]
pub(super) struct Hostile {
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// What a page must not contain: the parts of the texts below that a browser would run.
pub(super) const RUNNABLE: [&str; 6] =
    ["<script>alert(1)", "<img src=x", "\" onfocus=\"alert", "' onfocus='alert", "</title><svg", "href=\"javascript:"];

/// All of them.
pub(super) fn all() -> Vec<Hostile> {
    let texts: [(&'static str, String); 24] = [
        ("SQL that is always true", "' OR '1'='1".into()),
        ("SQL that drops a table", "'; DROP TABLE orders; --".into()),
        ("SQL in double quotes", "\") UNION SELECT * FROM accounts--".into()),
        ("a LIKE pattern", "%_\\%".into()),
        ("JSON", "\"}],{\"sku\":[".into()),
        ("a script", "<script>alert(1)</script>".into()),
        ("an image that fails", "\"><img src=x onerror=alert(1)>".into()),
        ("an attribute in double quotes", "\" onfocus=\"alert(1)\" x=\"".into()),
        ("an attribute in single quotes", "' onfocus='alert(1)' x='".into()),
        ("the end of the title", "</title><svg onload=alert(1)>".into()),
        ("a script's address", "javascript:alert(1)".into()),
        ("a template", "{{ 7*7 }}${7*7}<%= 7*7 %>".into()),
        ("a path", "../../../etc/passwd".into()),
        ("a header", "x\r\nSet-Cookie: orderly_session=planted".into()),
        ("NUL", "a\0b".into()),
        ("NUL alone", "\0".into()),
        ("escape sequences", "\u{1b}[31mred\u{7}\u{7f}\u{85}".into()),
        ("right to left", "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}".into()),
        ("an override of direction", "abc\u{202e}fdp.exe".into()),
        ("zalgo", "Z\u{351}\u{36b}\u{343}a\u{32d}\u{354}\u{36a}l\u{35c}\u{30d}".into()),
        ("signs of four bytes", "\u{1f9d1}\u{200d}\u{1f680}\u{10ffff}".into()),
        ("nothing", String::new()),
        ("spaces", "   ".into()),
        ("ten thousand characters", "A".repeat(10_000)),
    ];
    texts.map(|(name, text)| Hostile { name, text }).into()
}

impl Hostile {
    /// Control characters of ASCII and Unicode.
    pub(super) fn has_control(&self) -> bool {
        self.text.chars().any(char::is_control)
    }

    /// Control characters, and what turns a displayed text around.
    pub(super) fn has_invisible(&self) -> bool {
        self.has_control() || self.text.contains('\u{202e}')
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Whether it is a line of text for people, of `least` to `most` characters without the spaces
    /// around it.
    pub(super) fn is_line(&self, least: usize, most: usize) -> bool {
        !self.has_invisible() && (least..=most).contains(&self.text.trim().chars().count())
    }

    /// As [`Self::is_line`], with the spaces around it.
    pub(super) fn is_exact(&self, least: usize, most: usize) -> bool {
        !self.has_invisible() && (least..=most).contains(&self.text.chars().count())
    }

    /// Whether it is a SKU or another key: letters, digits and `-_./`, and no way to
    /// another page.
    pub(super) fn is_key(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let leads_away = self.text.split('/').any(|part| part == "." || part == "..");
        (1..=64).contains(&self.text.len()) && self.text.bytes().all(allowed) && !leads_away
    }

    /// Whether it might be an id: visible ASCII without spaces.
    pub(super) fn is_opaque(&self, most: usize) -> bool {
        (1..=most).contains(&self.text.len()) && self.text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// The first of [`RUNNABLE`] that a page has.
pub(super) fn runnable_in(page: &str) -> Option<&'static str> {
    RUNNABLE.into_iter().find(|text| page.contains(text))
}

#[test]
fn every_text_that_a_browser_might_run_would_be_found_in_a_page() {
    let all = all();
    for runnable in RUNNABLE.iter().filter(|text| !text.starts_with("href")) {
        assert!(all.iter().any(|hostile| hostile.text.contains(runnable)), "{runnable}");
    }
}
