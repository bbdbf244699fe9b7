//! What each cell accepts and what it refuses, text by text.

use super::*;

#[test]
fn prices_are_exact_minor_units() {
    for (text, amount) in [
        ("2.55", 255),
        ("2.5", 250),
        ("2", 200),
        ("2.", 200),
        (".5", 50),
        ("+1.00", 100),
        (" 0.29 ", 29),
        ("0.07", 7),
        ("1.1", 110),
        ("000000000000000000000004.35", 435),
        ("11062.06", 1_106_206),
        ("21474836.47", MAX_INT),
        ("1.005", 101),
        ("0.125", 13),
        ("0.994999999999999999999999", 99),
        ("0.995", 100),
        ("9.999", 1000),
    ] {
        assert_eq!(price(text), Ok(amount), "{text}");
    }
}

#[test]
fn a_price_that_is_none_is_refused_without_a_panic() {
    let long = "9".repeat(5_000);
    for text in [
        "",
        " ",
        ".",
        "-",
        "+",
        "1e3",
        "NaN",
        "inf",
        "£2.55",
        "1,5",
        "1.2.3",
        "--1",
        "0x10",
        "²",
        "-1",
        "-0.01",
        "-0",
        "0",
        "0.0",
        "0.001",
        "0.0049",
        "0.005",
        "0.0099",
        "21474836.48",
        "21474836.475",
        "92233720368547758.07",
        "92233720368547758070",
        &long,
    ] {
        assert!(price(text).is_err(), "{text}");
    }
}

#[test]
fn quantities_are_whole_and_at_least_one() {
    for (text, expected) in [("6", 6), ("6.0", 6), (" 12 ", 12), ("+3", 3), ("2147483647", MAX_INT)] {
        assert_eq!(quantity(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "0",
        "-1",
        "-80995",
        "1.5",
        "six",
        "2147483648",
        "-",
        "1e2",
        "99999999999999999999",
        "-99999999999999999999",
        ".0",
        "٣",
    ] {
        assert!(quantity(text).is_err(), "{text}");
    }
}

#[test]
fn what_a_cancellation_takes_back_is_below_zero_and_counted_in_pieces() {
    for (text, expected) in [("-1", 1), ("-6.0", 6), (" -12 ", 12), ("-2147483647", MAX_INT)] {
        assert_eq!(pieces_back(text), Ok(expected), "{text}");
    }
    for text in
        ["", "0", "-0", "1", "+3", "-", "--3", "-1.5", "-2147483648", "-99999999999999999999", "99999999999999999999"]
    {
        assert!(pieces_back(text).is_err(), "{text}");
    }
}

#[test]
fn the_three_date_forms_mean_the_same_moment() {
    let iso = date("2010-12-01 08:26:00");
    assert!(iso.is_ok());
    assert_eq!(date("12/1/2010 8:26"), iso);
    assert_eq!(date("12/1/10 8:26"), iso);
    assert_eq!(date("12/01/2010 08:26"), iso);
}

#[test]
fn a_date_that_the_calendar_has_not_is_refused() {
    for text in [
        "",
        "yesterday",
        "2010-13-01 08:26:00",
        "2011-02-29 08:26:00",
        "13/1/2010 8:26",
        "12/1/110 8:26",
        "12/1/2010",
        "12/1/2010 24:00",
        "2010-12-01 08:26:00:00",
        "2010-12 08:26",
        "2010-12-01 8",
        "12/1/+1 8:26",
        "2010-12-01 08:26:61",
        "99999-01-01 00:00:00",
        "-1-1-1 0:0",
    ] {
        assert!(date(text).is_err(), "{text}");
    }
}

#[test]
fn an_unknown_customer_is_the_guest() {
    for text in ["", " ", "0", "0.0", "0.00", "nan"] {
        assert_eq!(customer(text).as_deref(), Ok(GUEST), "{text:?}");
    }
    assert_eq!(customer("17850.0").as_deref(), Ok("17850"));
    assert_eq!(customer("17850").as_deref(), Ok("17850"));
    assert!(customer("1785\u{0}0").is_err());
    assert!(customer("<script>").is_err());
}

#[test]
fn skus_are_trimmed_and_upper_cased() {
    assert_eq!(sku(" 85123a ").as_deref(), Ok("85123A"));
    assert!(sku("").is_err());
    assert!(sku("85123\u{0}A").is_err());
    assert!(sku("' OR 1=1 --").is_err());
    assert!(sku("É12").is_err());
    assert!(sku(&"1".repeat(65)).is_err());
}

#[test]
fn charges_and_corrections_are_no_products() {
    for text in [
        "POST",
        "dot",
        "D",
        "m",
        "S",
        "Bank Charges",
        "AMAZONFEE",
        "CRUK",
        "PADS",
        "C2",
        "B",
        "gift_0001_20",
        "TEST001",
        "adjust2",
    ] {
        assert!(sku(text).is_ok_and(|sku| is_not_a_product(&sku)), "{text}");
    }
    for text in ["22423", "85123A", "15056BL", "DCGSSBOY", "MUG-ENAMEL-BLUE"] {
        assert!(!is_not_a_product(text), "{text}");
    }
}

#[test]
fn the_first_letter_of_an_invoice_tells_its_kind() {
    assert_eq!(invoice("536365.0"), Ok(Invoice::Sale("536365".into())));
    assert_eq!(invoice("c536379"), Ok(Invoice::Cancellation("C536379".into())));
    assert_eq!(invoice("A563185"), Ok(Invoice::Adjustment("A563185".into())));
    assert_eq!(invoice("CART-7"), Ok(Invoice::Sale("CART-7".into())));
    assert!(invoice("").is_err());
    assert!(invoice("5\n6").is_err());
}

#[test]
fn notes_of_the_stock_keepers_are_no_names() {
    for note in ["", "?", "???lost", "damaged", "Found", "wrongly marked carton 22804", "20713"] {
        assert!(!is_sensible(note), "{note}");
    }
    for text in ["WHITE METAL LANTERN", "Dr. Jam's Arouzer Stress Ball", "BAG 125g SWIRLY MARBLES"] {
        assert!(is_sensible(text), "{text}");
    }
    assert_eq!(name("  SET 2\u{0} TEA\tTOWELS  I LOVE\u{85}LONDON "), "SET 2 TEA TOWELS I LOVE LONDON");
    assert_eq!(name(&"é".repeat(300)).chars().count(), MAX_NAME);
}
