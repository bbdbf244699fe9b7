//! The cart: what a visitor means to buy, kept in the visitor's own cookie.
//!
//! `SKU:quantity~SKU:quantity`. The shop stores nothing for it and promises
//! nothing by it: prices and stock are looked up when it is shown, and decided when the order is
//! placed. A cookie is the visitor's to change, so it is read as any other input: what makes no
//! sense is left out, and it is bounded.

use std::fmt;

/// Most lines that a cart holds.
pub(crate) const MOST_LINES: usize = 50;
/// Most of one product that a cart holds.
pub(crate) const MOST_OF_ONE: i64 = 999;
/// Longest SKU, in bytes.
pub(crate) const LONGEST_SKU: usize = 64;
/// Longest text of a cart in bytes; browsers keep cookies of 4,096.
const LONGEST_TEXT: usize = 3_500;

/// Lines in the order they were added, each SKU once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cart {
    lines: Vec<Line>,
}

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: String,
    /// 1 to [`MOST_OF_ONE`].
    pub(crate) quantity: i64,
}

/// The cart holds no more: too many lines, or too long for a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Cart {
    /// Reads a cookie; whatever is not a line is ignored.
    pub(crate) fn parse(text: &str) -> Self {
        let mut cart = Self::default();
        if text.len() <= LONGEST_TEXT {
            for line in text.split('~').filter_map(Line::parse) {
                // A full cart ignores the rest, like other garbage.
                let _ = cart.add(&line.sku, line.quantity);
            }
        }
        cart
    }

    /// Reads what a form of ours carried; `None` unless every line of it makes sense.
    pub(crate) fn parse_whole(text: &str) -> Option<Self> {
        let cart = Self::parse(text);
        (cart.to_string() == text).then_some(cart)
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many pieces, all lines together.
    pub(crate) fn pieces(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Puts more of a product in, at most to [`MOST_OF_ONE`].
    ///
    /// # Errors
    /// It is full; nothing has changed.
    pub(crate) fn add(&mut self, sku: &str, quantity: i64) -> Result<(), Full> {
        let mut next = self.clone();
        if let Some(line) = next.lines.iter_mut().find(|line| line.sku == sku) {
            line.quantity = line.quantity.saturating_add(quantity).min(MOST_OF_ONE);
        } else {
            next.lines.push(Line { sku: sku.to_owned(), quantity });
        }
        self.become_if_it_fits(next)
    }

    /// Sets how many of a product there are; 0 takes it out. A product that is not in the cart
    /// stays out.
    ///
    /// # Errors
    /// As [`Self::add`]: even a longer number may be too much for the cookie.
    pub(crate) fn set(&mut self, sku: &str, quantity: i64) -> Result<(), Full> {
        let mut next = self.clone();
        if quantity == 0 {
            next.lines.retain(|line| line.sku != sku);
        } else if let Some(line) = next.lines.iter_mut().find(|line| line.sku == sku) {
            line.quantity = quantity;
        }
        self.become_if_it_fits(next)
    }

    fn become_if_it_fits(&mut self, next: Self) -> Result<(), Full> {
        if next.lines.len() > MOST_LINES || next.to_string().len() > LONGEST_TEXT {
            return Err(Full);
        }
        *self = next;
        Ok(())
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let (sku, quantity) = text.split_once(':')?;
        let plain = quantity.len() <= 3 && quantity.bytes().all(|byte| byte.is_ascii_digit());
        let quantity: i64 = plain.then(|| quantity.parse().ok())??;
        (is_sku(sku) && quantity >= 1).then(|| Self { sku: sku.to_owned(), quantity })
    }
}

/// Whether the text is a SKU as the shop writes them: capital letters, digits and `-_./`, and no
/// part of a path that browsers would resolve away.
pub(crate) fn is_sku(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_./".contains(&byte);
    let relative = text.split('/').any(|part| matches!(part, "." | ".."));
    (1..=LONGEST_SKU).contains(&text.len()) && text.bytes().all(allowed) && !relative
}

impl fmt::Display for Cart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index == 0 { "" } else { "~" };
            write!(f, "{separator}{}:{}", line.sku, line.quantity)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_reads_back_as_it_was_written() {
        let mut cart = Cart::default();
        for (sku, quantity) in [("MUG-1", 2), ("85123A", 999), ("A_B/C.D", 1)] {
            cart.add(sku, quantity).expect("room for three");
        }
        let text = cart.to_string();
        assert_eq!(text, "MUG-1:2~85123A:999~A_B/C.D:1");
        assert_eq!(Cart::parse(&text), cart);
        assert_eq!(Cart::parse_whole(&text), Some(cart));
    }

    #[test]
    fn garbage_is_ignored_and_the_rest_is_kept() {
        let text = "MUG-1:2~~x~:1~A:0~A:-1~A:1000~A:1.5~A:٣~%00:1~ü:1~a:1~B:3:4~.:1~..:1~A/../B:1~PEN:1";
        assert_eq!(Cart::parse(text).to_string(), "MUG-1:2~PEN:1");
        assert!(Cart::parse("\u{0}~<script>").is_empty());
        assert!(Cart::parse(&"A:1~".repeat(2_000)).is_empty());
        assert_eq!(Cart::parse_whole(text), None);
    }

    #[test]
    fn the_same_product_is_one_line_up_to_the_most() {
        let cart = Cart::parse("A:600~B:1~A:600");
        assert_eq!(cart.to_string(), "A:999~B:1");
        assert_eq!(cart.pieces(), 1_000);
    }

    #[test]
    fn a_full_cart_refuses_and_stays_as_it_is() {
        let mut cart = Cart::default();
        for number in 0..MOST_LINES {
            cart.add(&format!("SKU-{number}"), 1).expect("room");
        }
        let before = cart.clone();
        assert_eq!(cart.add("ONE-MORE", 1), Err(Full));
        assert_eq!(cart, before);
        assert_eq!(cart.add("SKU-0", 1), Ok(()));

        let mut long = Cart::default();
        while long.add(&format!("{:A>64}", long.lines.len()), 999).is_ok() {}
        assert!(long.to_string().len() <= LONGEST_TEXT && long.lines.len() > 45);
    }

    #[test]
    fn a_quantity_is_changed_and_none_takes_the_line_out() {
        let mut cart = Cart::parse("A:1~B:2");
        for (sku, quantity) in [("A", 7), ("B", 0), ("C", 3)] {
            assert_eq!(cart.set(sku, quantity), Ok(()));
        }
        assert_eq!(cart.to_string(), "A:7");
    }
}
