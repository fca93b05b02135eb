use std::io::Write;

use crate::Exit;

pub(super) fn run(out: &mut impl Write) -> anyhow::Result<Exit> {
    writeln!(out, "bailey {}", env!("CARGO_PKG_VERSION"))?;
    Ok(Exit::Done)
}
