use server::ServeArgs;

use crate::Exit;

/// Runs the daemon until it is told to stop.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<Exit> {
    Box::pin(server::serve(args)).await?;
    Ok(Exit::Done)
}
