//! Where the services of other processes are, and the connections to them.

use std::collections::BTreeMap;

use anyhow::bail;
use contracts::audit::auditor_server;
use contracts::{inventory, notification, ops, order, payment, query};
use platform::grpc::{Connection, Peers, remote};

use super::role::{Role, Roles};

/// Where the other services are
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Other services")]
pub(crate) struct Neighbours {
    /// The order service's replicas, as http://host:port[,http://host:port]; a host may be a name that stands for
    /// several addresses
    #[arg(long, value_name = "URLS")]
    order_grpc: Option<Peers>,
    /// The inventory service's
    #[arg(long, value_name = "URLS")]
    inventory_grpc: Option<Peers>,
    /// The payment service's
    #[arg(long, value_name = "URLS")]
    payment_grpc: Option<Peers>,
    /// The query service's
    #[arg(long, value_name = "URLS")]
    query_grpc: Option<Peers>,
    /// The notification service's
    #[arg(long, value_name = "URLS")]
    notification_grpc: Option<Peers>,
    /// The auditor's
    #[arg(long, value_name = "URLS")]
    auditor_grpc: Option<Peers>,
}

/// A connection to each service that is called from here: in this process where it
/// runs here, over sockets where it does not.
pub(crate) struct Lines {
    services: BTreeMap<Role, Connection>,
    /// To what they show of their inside.
    ops: BTreeMap<Role, Connection>,
}

impl Neighbours {
    const fn of(&self, role: Role) -> Option<&Peers> {
        match role {
            Role::Order => self.order_grpc.as_ref(),
            Role::Inventory => self.inventory_grpc.as_ref(),
            Role::Payment => self.payment_grpc.as_ref(),
            Role::Query => self.query_grpc.as_ref(),
            Role::Notification => self.notification_grpc.as_ref(),
            Role::Auditor => self.auditor_grpc.as_ref(),
            Role::Gateway => None,
        }
    }

    /// Begins to look for everyone that these roles call and that runs elsewhere. They
    /// need not be there yet.
    ///
    /// # Errors
    /// It is not said where one of them is; with all the settings that are missing.
    pub(crate) fn connect(&self, roles: &Roles, token: &str) -> anyhow::Result<Lines> {
        let mut lines = Lines { services: BTreeMap::new(), ops: BTreeMap::new() };
        let mut missing = Vec::new();
        for role in roles.neighbours() {
            let Some(peers) = self.of(role) else {
                missing.push(format!("--{role}-grpc (ORDERLY_{}_GRPC)", role.name().to_uppercase()));
                continue;
            };
            lines.services.insert(role, remote(peers.clone(), service_of(role), token));
            lines.ops.insert(role, remote(peers.clone(), ops::ops_server::SERVICE_NAME, token));
        }
        if !missing.is_empty() {
            bail!("{} missing: where the services are that {roles} calls", are(&missing));
        }
        Ok(lines)
    }
}

impl Lines {
    /// A service of this process.
    pub(crate) fn is_here(&mut self, role: Role, connection: Connection) {
        self.services.insert(role, connection);
    }

    /// What the service of this process shows of its inside.
    pub(crate) fn shows(&mut self, role: Role, connection: Connection) {
        self.ops.insert(role, connection);
    }

    /// The connection to a role that is called from here.
    ///
    /// # Errors
    /// A defect: nobody who runs here calls it.
    pub(crate) fn to(&self, role: Role) -> anyhow::Result<Connection> {
        match self.services.get(&role) {
            Some(connection) => Ok(connection.clone()),
            None => bail!("there is no connection to {role}"),
        }
    }

    /// The connections to the inside of each role that has one.
    pub(crate) fn insides(&self) -> &BTreeMap<Role, Connection> {
        &self.ops
    }
}

/// By the name in the contracts, which health is told by.
const fn service_of(role: Role) -> &'static str {
    match role {
        Role::Inventory => inventory::inventory_server::SERVICE_NAME,
        Role::Order => order::orders_server::SERVICE_NAME,
        Role::Payment => payment::payments_server::SERVICE_NAME,
        Role::Notification => notification::notifications_server::SERVICE_NAME,
        Role::Query => query::query_server::SERVICE_NAME,
        Role::Auditor => auditor_server::SERVICE_NAME,
        Role::Gateway => "",
    }
}

/// `a is`, `a and b are`.
fn are(names: &[String]) -> String {
    match names {
        [one] => format!("{one} is"),
        _ => format!("{} are", names.join(" and ")),
    }
}
