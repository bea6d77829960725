//! `completions`: what a shell has to know to complete commands and options, made from their definitions.

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(args: &CompletionsArgs, output: &mut Output) -> Result<(), Failure> {
    output.text(&script(args.shell))
}

/// The file for a shell.
fn script(shell: clap_complete::Shell) -> String {
    let mut file = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "posthouse", &mut file);
    String::from_utf8_lossy(&file).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use clap::ValueEnum as _;
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell} has no `{}`", command.get_name());
            }
        }
    }

    #[test]
    fn bash_accepts_its_file() {
        let mut bash = match Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() {
            Ok(bash) => bash,
            // Whoever has no bash needs no file for it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => panic!("{error}"),
        };
        bash.stdin.take().unwrap().write_all(script(Shell::Bash).as_bytes()).unwrap();
        assert!(bash.wait().unwrap().success());
    }
}
