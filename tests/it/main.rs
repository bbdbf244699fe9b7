//! The integration tests: contract suites of the adapters, end to end, faults, and
//! a browser, in one binary so that it links once.

mod browser;
mod bus_contract;
mod guarded_servers;
mod kill;
mod oversell;
mod saga_faults;
mod servers;
mod shop;
mod topologies;
