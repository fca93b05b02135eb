//! `cargo xtask`.
use anyhow::Result;
use xtask::control_plane::{ControlPlane, Lifetime, build};
fn main() -> Result<()> {
    let binary = build::binary()?;
    let folder = tempfile::tempdir()?;
    let start = std::time::Instant::now();
    let plane = ControlPlane::start(&binary, folder.path(), Lifetime::Owner)?;
    eprintln!("{:?} {:?}", start.elapsed(), plane.processes());
    eprintln!("{}", plane.access().run(&["get", "ns,sa,prioritylevelconfigurations", "-A"])?);
    Ok(())
}
