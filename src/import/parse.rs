//! A file in the UCI *Online Retail* format -> products, invoices, returns, rejected rows.
//!
//! Pure and whole: bytes in, everything out, before the first write to any server. A
//! row is in an invoice, in the plan of returns, or among the rejects: in one of the
//! three, never in two, never in none.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDateTime;
use csv::ByteRecord;

use super::fields::{self, MAX_INT};
use super::header::{Column, Columns, FormatError};
use super::matching::{self, Plan, TakenBack};
use super::rejects::{Reason, Rejects};
use super::rows::{Cells, decode, rows};

/// The most products an order may have.
pub(crate) const MAX_LINES: usize = 500;

/// A file, read.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Rows of the file, header and blank lines not counted.
    pub(crate) rows: u64,
    /// The catalogue that the accepted rows make, by SKU.
    pub(crate) products: Vec<Product>,
    /// The sales, by date and then as the file has them.
    pub(crate) invoices: Vec<Invoice>,
    /// What the `C…` invoices take back of them.
    pub(crate) plan: Plan,
    pub(crate) rejects: Rejects,
    /// How many `C…` invoices the file has.
    pub(crate) cancellations: u64,
}

/// A product as its last sale shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) name: String,
    /// Minor units of GBP.
    pub(crate) price: i64,
    /// The lines of the file that sell it.
    pub(crate) rows: Vec<u64>,
}

/// One sale.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) customer: String,
    /// The earliest of its rows'.
    pub(crate) date: NaiveDateTime,
    /// One per SKU.
    pub(crate) lines: Vec<Line>,
}

/// So many of a product, from one or more rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) rows: Vec<u64>,
}

/// A row that passed.
enum Read {
    Sale(Sale),
    TakenBack(TakenBack),
}

/// A row that sells.
struct Sale {
    line: u64,
    invoice: String,
    customer: String,
    sku: String,
    name: String,
    quantity: i64,
    price: i64,
    date: NaiveDateTime,
}

/// Reads a whole file.
///
/// # Errors
/// Only when it is not in the format at all: empty, or without one of the columns.
/// Whatever is wrong with a row rejects that row.
pub(crate) fn parse(data: &[u8]) -> Result<Parsed, FormatError> {
    let data = without_mark(data);
    let mut rows = rows(data);
    let columns = Columns::read(data, rows.next())?;

    let (mut sales, mut taken_back) = (Vec::new(), Vec::new());
    let mut rejects = Rejects::default();
    let mut cancelled = BTreeSet::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        let read = match &row.cells {
            Cells::Unclosed(_) => Err((Reason::Quote, "a quotation is not closed".to_owned())),
            Cells::Record(record) => columns
                .check(record)
                .map_err(|detail| (Reason::Columns, detail))
                .and_then(|()| read(row.line, record, &columns, &mut cancelled)),
        };
        match read {
            Ok(Read::Sale(sale)) => sales.push(sale),
            Ok(Read::TakenBack(row)) => taken_back.push(row),
            Err((reason, detail)) => rejects.add(row.line, reason, detail),
        }
    }
    let invoices = invoices(&sales, &mut rejects);
    let plan = matching::match_sales(taken_back, &invoices, &mut rejects);
    Ok(Parsed {
        rows: count,
        products: products(&sales, &rejects),
        invoices,
        plan,
        rejects,
        cancellations: cancelled.len() as u64,
    })
}

/// The bytes after the byte order mark, if there is one.
pub(crate) fn without_mark(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data)
}

/// How many of each SKU the invoices sell together.
pub(crate) fn needed_stock(invoices: &[Invoice]) -> BTreeMap<&str, i64> {
    let mut needed = BTreeMap::new();
    for line in invoices.iter().flat_map(|invoice| &invoice.lines) {
        *needed.entry(line.sku.as_str()).or_default() += line.quantity;
    }
    needed
}

/// The order of the tests is the order in which a person would say what a row is: an
/// unreadable date on a bookkeeping entry does not matter.
fn read(
    line: u64,
    record: &ByteRecord,
    columns: &Columns,
    cancelled: &mut BTreeSet<String>,
) -> Result<Read, (Reason, String)> {
    let cell = |column| decode(columns.cell(record, column));
    let invoice = fields::invoice(&cell(Column::Invoice)).map_err(because(Reason::Invoice))?;
    let invoice = match invoice {
        fields::Invoice::Sale(number) => number,
        fields::Invoice::Cancellation(number) => {
            cancelled.insert(number.clone());
            return read_taken_back(line, number, cell).map(Read::TakenBack);
        }
        fields::Invoice::Adjustment(number) => {
            let detail = format!("{number} is a bookkeeping entry, not a sale");
            return Err((Reason::Adjustment, detail));
        }
    };
    let sku = fields::sku(&cell(Column::Sku)).map_err(because(Reason::Sku))?;
    if fields::is_not_a_product(&sku) {
        let detail = format!("{sku} is a charge, a voucher or a correction, no product of the catalogue");
        return Err((Reason::NotAProduct, detail));
    }
    Ok(Read::Sale(Sale {
        line,
        invoice,
        sku,
        quantity: fields::quantity(&cell(Column::Quantity)).map_err(because(Reason::Quantity))?,
        price: fields::price(&cell(Column::Price)).map_err(because(Reason::Price))?,
        date: fields::date(&cell(Column::Date)).map_err(because(Reason::Date))?,
        customer: fields::customer(&cell(Column::Customer)).map_err(because(Reason::Customer))?,
        name: fields::name(&cell(Column::Name)),
    }))
}

/// A row of a `C…` invoice. Its price and its name do not matter: what is given back is
/// what was paid. What is never sold as a product, and what nobody knows the buyer of,
/// has no sale that it could match.
fn read_taken_back<'r>(
    line: u64,
    invoice: String,
    cell: impl Fn(Column) -> Cow<'r, str>,
) -> Result<TakenBack, (Reason, String)> {
    let sku = fields::sku(&cell(Column::Sku)).map_err(because(Reason::Sku))?;
    if fields::is_not_a_product(&sku) {
        let detail = format!("{invoice} takes {sku} back: a charge, a voucher or a correction, sold by no order");
        return Err((Reason::NoMatchingSale, detail));
    }
    let customer = fields::customer(&cell(Column::Customer)).map_err(because(Reason::Customer))?;
    if customer == fields::GUEST {
        let detail = format!("{invoice} takes {sku} back, but from whom is not written down");
        return Err((Reason::NoMatchingSale, detail));
    }
    Ok(TakenBack {
        line,
        invoice,
        customer,
        sku,
        pieces: fields::pieces_back(&cell(Column::Quantity)).map_err(because(Reason::Quantity))?,
        date: fields::date(&cell(Column::Date)).map_err(because(Reason::Date))?,
    })
}

fn because(reason: Reason) -> impl FnOnce(String) -> (Reason, String) {
    move |detail| (reason, detail)
}

/// Puts the rows of one number together, and those of one SKU into one line.
fn invoices(sales: &[Sale], rejects: &mut Rejects) -> Vec<Invoice> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut lines: HashMap<(usize, &str), usize> = HashMap::new();
    let mut invoices: Vec<Invoice> = Vec::new();
    for sale in sales {
        let place = *places.entry(&sale.invoice).or_insert_with(|| {
            invoices.push(Invoice {
                number: sale.invoice.clone(),
                customer: sale.customer.clone(),
                date: sale.date,
                lines: Vec::new(),
            });
            invoices.len() - 1
        });
        let invoice = &mut invoices[place];
        if invoice.customer != sale.customer {
            let detail = format!(
                "invoice {} is {}'s by its first row, {}'s by this one",
                invoice.number, invoice.customer, sale.customer
            );
            rejects.add(sale.line, Reason::Customer, detail);
            continue;
        }
        let at = *lines.entry((place, &sale.sku)).or_insert_with(|| {
            invoice.lines.push(Line { sku: sale.sku.clone(), quantity: 0, rows: Vec::new() });
            invoice.lines.len() - 1
        });
        let line = &mut invoice.lines[at];
        if line.quantity + sale.quantity > MAX_INT {
            let detail = format!("with this row invoice {} has more than {MAX_INT}", sale.invoice);
            rejects.add(sale.line, Reason::Quantity, detail);
            continue;
        }
        line.quantity += sale.quantity;
        line.rows.push(sale.line);
        invoice.date = invoice.date.min(sale.date);
    }
    invoices.retain(|invoice| fits(invoice, rejects));
    invoices.sort_by_key(|invoice| invoice.date);
    invoices
}

fn fits(invoice: &Invoice, rejects: &mut Rejects) -> bool {
    let products = invoice.lines.len();
    if products <= MAX_LINES {
        return true;
    }
    let detail = format!("invoice {} has {products} products; an order has at most {MAX_LINES}", invoice.number);
    for line in &invoice.lines {
        rejects.add_all(&line.rows, &Reason::TooManyLines, &detail);
    }
    false
}

/// Price: the last seen. Name: the last sensible one, else the last, else the SKU.
fn products(sales: &[Sale], rejects: &Rejects) -> Vec<Product> {
    let mut sold: Vec<&Sale> = sales.iter().filter(|sale| rejects.get(sale.line).is_none()).collect();
    sold.sort_by_key(|sale| (sale.date, sale.line));

    let mut products: BTreeMap<&str, Product> = BTreeMap::new();
    for sale in sold {
        let product = products.entry(&sale.sku).or_insert_with(|| Product {
            sku: sale.sku.clone(),
            name: sale.sku.clone(),
            price: sale.price,
            rows: Vec::new(),
        });
        product.price = sale.price;
        product.rows.push(sale.line);
        let unnamed = product.name == product.sku || !fields::is_sensible(&product.name);
        if fields::is_sensible(&sale.name) || (unnamed && !sale.name.is_empty()) {
            product.name.clone_from(&sale.name);
        }
    }
    products.into_values().collect()
}

#[cfg(test)]
mod tests;
