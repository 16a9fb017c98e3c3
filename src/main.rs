//! `kiez`: parse, connect, hand over.

mod cli;
mod demo;
mod doctor;
mod simulation;

use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    let filter = EnvFilter::try_from_env("KIEZ_LOG").unwrap_or_else(|_| EnvFilter::new("kiez=info,warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kiez: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
