//! Writes `builder/src/buildkit/generated/` from the protos beside this file, without protoc.

use std::error::Error;
use std::path::Path;

const PROTO: &str = "containerd/services/content/v1/content.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = here.join("../../builder/src/buildkit/generated");
    let files = protox::compile([PROTO], [here.join("proto")])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".containerd.services.content.v1.ReadContentResponse.data")
        .bytes(".containerd.services.content.v1.WriteContentRequest.data")
        .out_dir(out)
        .compile_fds(files)?;
    Ok(())
}
