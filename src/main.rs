//! `kiez`: parse, connect, hand over.

mod cli;
mod demo;
mod doctor;
mod listen;
mod log;
mod simulation;

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let _farewell = log::Farewell;
    match cli::Cli::parse().run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            log::last_word(&format!("kiez: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}
