//! The demo.

use clap::Args;

/// A Berlin in one process.
#[derive(Debug, Args)]
pub struct Demo {}

impl Demo {
    /// Runs it.
    pub async fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("not yet")
    }
}
