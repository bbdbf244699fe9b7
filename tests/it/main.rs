//! The integration tests: contract suites of the adapters, end to end, faults, and
//! a browser, in one binary so that it links once.

mod bus_contract;
mod loop_contract;
mod store_contract;

mod browser;
mod guarded_servers;
mod servers;
mod shop;
