//! `kiez-load`: load for a kiez server and a friend in the terminal. It ends with 0 when everything was right, with 1
//! when a check failed, with 2 when it could not run, with 3 when the generator was too busy for what it measured to count,
//! and with 99 when a figure was worse than it may be.

mod command;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{CityArgs, IdleArgs, Outcome, ReplayArgs};

/// Load for a kiez server on this machine, checked from outside.
#[derive(Parser)]
#[command(version, about, after_help = "It speaks plain HTTP and only to this machine.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put a city under load, and check and measure what the server does with it. Needs no data.
    City(CityArgs),
    /// Run a real day again and check what the server does with it, also while it is killed.
    Replay(ReplayArgs),
    /// Measure what a friend costs who only stands there.
    Idle(IdleArgs),
    /// Be a friend in the terminal.
    Friend(terminal::FriendArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("kiez-load: no runtime: {fault}");
            return ExitCode::from(2);
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::City(args) => args.run().await,
            Command::Replay(args) => args.run().await,
            Command::Idle(args) => args.run().await,
            Command::Friend(args) => {
                terminal::run(args).await.map(|welcome| if welcome { Outcome::Right } else { Outcome::Failed })
            }
        }
    });
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(outcome) => outcome.code(),
        Err(fault) => {
            eprintln!("kiez-load: {fault:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
