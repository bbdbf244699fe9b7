//! The roles that a process can have, and what each of them needs.

use std::collections::BTreeSet;
use std::fmt;

/// A part of the shop that can have a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Role {
    /// Catalogue, stock, reservations
    Inventory,
    /// Orders, and the saga of each
    Order,
    /// The ledger, and the simulated bank beside it
    Payment,
    /// Messages to customers
    Notification,
    /// Event log and read models
    Query,
    /// Checks the shop's promises against all its stores, and writes to none
    Auditor,
    /// GraphQL and the web pages; accounts and sessions
    Gateway,
}

impl Role {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Notification => "notification",
            Self::Query => "query",
            Self::Auditor => "auditor",
            Self::Gateway => "gateway",
        }
    }

    /// Whose databases it opens.
    pub(crate) const fn databases(self) -> &'static [&'static str] {
        match self {
            Self::Inventory => &["inventory"],
            Self::Order => &["order"],
            Self::Payment => &["payment", "bank"],
            Self::Notification => &["notification"],
            Self::Query => &["query"],
            Self::Auditor => &crate::settings::EVERY,
            Self::Gateway => &["gateway"],
        }
    }

    /// Whom it calls.
    pub(crate) const fn calls(self) -> &'static [Self] {
        match self {
            Self::Inventory | Self::Payment | Self::Notification | Self::Query | Self::Auditor => &[],
            Self::Order => &[Self::Inventory],
            Self::Gateway => {
                &[Self::Order, Self::Inventory, Self::Payment, Self::Query, Self::Notification, Self::Auditor]
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles of one process, each once.
#[derive(Debug, Clone)]
pub(crate) struct Roles(BTreeSet<Role>);

impl Roles {
    pub(crate) fn new(named: &[Role]) -> Self {
        Self(named.iter().copied().collect())
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whose databases this process opens; each once.
    pub(crate) fn databases(&self) -> Vec<&'static str> {
        let all: BTreeSet<&str> = self.0.iter().flat_map(|role| role.databases()).copied().collect();
        all.into_iter().collect()
    }

    /// Who is called and runs elsewhere.
    pub(crate) fn neighbours(&self) -> BTreeSet<Role> {
        let called = self.0.iter().flat_map(|role| role.calls()).copied();
        called.filter(|called| !self.has(*called)).collect()
    }

    /// Whether messages travel to or from here.
    pub(crate) fn need_bus(&self) -> bool {
        self.0.iter().any(|role| *role != Role::Auditor)
    }
}

/// `order, payment`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|role| role.name()).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_here_is_not_looked_for_elsewhere() {
        let roles = Roles::new(&[Role::Gateway, Role::Order, Role::Order, Role::Query]);
        assert_eq!(roles.to_string(), "order, query, gateway");
        let wanted = [Role::Inventory, Role::Payment, Role::Notification, Role::Auditor];
        assert_eq!(roles.neighbours(), wanted.into());
        assert_eq!(roles.databases(), ["gateway", "order", "query"]);
    }

    #[test]
    fn the_auditor_reads_every_store_and_hears_no_message() {
        let roles = Roles::new(&[Role::Auditor]);
        assert_eq!(roles.databases().len(), crate::settings::EVERY.len());
        assert!(!roles.need_bus() && roles.neighbours().is_empty());
    }
}
