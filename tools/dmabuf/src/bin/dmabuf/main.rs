// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Loads files into dma-bufs, saves dma-bufs to files, and shows what that
//! costs and saves.

mod chart;
mod compare;
mod cost;
mod load;
mod measure;
mod options;
mod save;
mod table;
mod ways;

use clap::{Parser, Subcommand};
use dmabuf::Errno;
use std::io::Write;
use std::process::ExitCode;

/// Move data between files and dma-bufs by direct I/O.
///
/// A dma-buf is memory that devices share: GPU, camera, network card, disk.
/// With dma-buf direct I/O the disk writes a file straight into it, or fetches
/// it from there, by one call of splice(2), copy_file_range(2) or sendfile(2):
/// no pipe, no page cache, no copy by the CPU. What cannot go that way is
/// copied, and the kernel says why.
///
/// Sizes are written as 32MiB, 4KiB, 1GiB or in plain bytes. Results go to
/// standard output, complaints to standard error.
#[derive(Parser)]
#[command(version, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 all well, 1 something failed or does not compare equal, \
                           2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    Load(load::Args),
    Save(save::Args),
    Compare(compare::Args),
    Cost(cost::Args),
    Table(table::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Load(args) => load::run(&args),
        Command::Save(args) => save::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Table(args) => table::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("dmabuf: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whatever went wrong, as the lines to print.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Writes to standard output. A reader that has seen enough and closed the
/// pipe is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// An error of the standard library about a file, in the form of the others.
fn about(path: &std::path::Path) -> impl Fn(std::io::Error) -> dmabuf::Error + '_ {
    move |e| {
        let errno = Errno::from_io_error(&e).unwrap_or(Errno::IO);
        dmabuf::Error::new(path.display().to_string(), errno)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
