//! The integration tests: contract suites of the adapters, end to end, faults, and
//! a browser, in one binary so that it links once.

mod audit_crimes;
mod bad_input;
mod browser;
mod browser_after_sale;
mod browser_journey;
mod bus_contract;
mod choreography;
mod cluster;
mod command_line;
mod customers;
mod databases;
mod fault_run;
mod guarded_servers;
mod journey;
mod kill;
mod load;
mod loop_contract;
mod ops;
mod oversell;
mod postgres_in_anger;
mod redis_in_anger;
mod replicas;
mod saga_faults;
mod servers;
mod shop;
mod store_contract;
mod subscriptions;
mod topologies;
