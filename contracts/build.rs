//! Generates the contract types with protox, so that no `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 8] = [
    "orderly/common/v1/common.proto",
    "orderly/order/v1/order.proto",
    "orderly/inventory/v1/inventory.proto",
    "orderly/payment/v1/payment.proto",
    "orderly/notification/v1/notification.proto",
    "orderly/query/v1/query.proto",
    "orderly/ops/v1/ops.proto",
    "orderly/audit/v1/audit.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let bytes = descriptors.encode_to_vec();
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("orderly.binpb"), &bytes)?;

    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure().compile_well_known_types(true).compile_fds_with_config(descriptors, config)?;
    pbjson_build::Builder::new().register_descriptors(&bytes)?.ignore_unknown_fields().build(&[".orderly"])?;
    Ok(())
}
