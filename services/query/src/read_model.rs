//! The **read models**, and where each of them stands.
//!
//! Every row of a read model belongs to a *generation*. Readers see the live one;
//! a [rebuild](crate::rebuild) folds another beside it. The *position* is how far in
//! the event log a generation is folded: the live ones move in the transaction that
//! appends to the log, so they always stand at its head.

use platform::clock::Millis;

use crate::kind::Kind;

/// A read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// Orders as their events left them.
    Orders,
    /// The catalogue with what is available.
    Products,
    /// What customers were told.
    Notifications,
    /// What was sold and refunded, minute by minute.
    Sales,
}

/// Which events of the log a read model is folded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// Everything that this outlet says, also of a type that is not known (yet).
    Outlet(&'static str),
    /// These, whoever says them.
    Kinds(&'static [Kind]),
}

/// The outlet that tells an order's own events: their number is its version.
pub(crate) const ORDER_SOURCE: &str = "/order";

impl Model {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Products, Self::Notifications, Self::Sales];

    /// As it is stored, and called by those who ask for a rebuild.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Products => "products",
            Self::Notifications => "notifications",
            Self::Sales => "sales",
        }
    }

    /// The read model with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.as_str() == name)
    }

    /// What it is folded from.
    pub(crate) const fn hears(self) -> Hears {
        match self {
            Self::Orders => Hears::Outlet(ORDER_SOURCE),
            Self::Products => Hears::Kinds(&[Kind::ProductUpserted, Kind::StockLevelChanged]),
            Self::Notifications => Hears::Kinds(&[Kind::CustomerNotified, Kind::CustomerMailed]),
            // And OrderPlaced, which is looked up: it says what was sold.
            Self::Sales => Hears::Kinds(&[Kind::OrderConfirmed, Kind::OrderPaymentRefunded]),
        }
    }
}

/// Which of the read models something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All, in their live generations.
    Live,
    /// One, in the generation that is being built.
    Building(Model),
}

impl Scope {
    /// Whether this read model is in it.
    pub(crate) fn has(self, model: Model) -> bool {
        match self {
            Self::Live => true,
            Self::Building(building) => building == model,
        }
    }
}

/// Where a read model stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The live one.
    pub generation: i64,
    /// Up to where in the log the live one is folded.
    pub position: i64,
    /// The rebuild that is under way, or the last one.
    pub rebuild: Option<Rebuild>,
}

/// A rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// Its own id.
    pub id: String,
    /// When it began, Unix milliseconds.
    pub begun_at: Millis,
    /// When its last step was, Unix milliseconds.
    pub at: Millis,
    /// How far it is; `None`: it has ended, one way or the other.
    pub building: Option<Building>,
}

/// A generation that nobody sees yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Building {
    /// Its number.
    pub generation: i64,
    /// Up to where in the log it is folded.
    pub position: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_model_is_found_by_its_name() {
        for model in Model::ALL {
            assert_eq!(Model::parse(model.as_str()), Some(model));
        }
        assert_eq!(Model::parse("customers"), None);
    }

    #[test]
    fn a_rebuild_is_about_one_read_model_and_the_live_fold_about_all() {
        for model in Model::ALL {
            assert!(Scope::Live.has(model));
            assert_eq!(Scope::Building(Model::Orders).has(model), model == Model::Orders);
        }
    }
}
