//! Everything that the program prints goes through here, but for what `rpc` says: lines to standard output, troubles to
//! standard error.

use std::io::{self, IsTerminal as _, Write as _};

use crate::args::When;
use crate::failure::{Exit, Failure};
use crate::line::Line;
use crate::render;
use crate::request::Item;
use crate::style::Style;

/// Where lines go, and in which form.
pub(crate) struct Output {
    json: bool,
    out: io::Stdout,
    err: io::Stderr,
    style: Style,
    error_style: Style,
}

impl Output {
    pub(crate) fn new(json: bool, color: When) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colours = |terminal: bool| match color {
            When::Always => true,
            When::Never => false,
            When::Auto => wanted && terminal,
        };
        let style = Style::new(colours(out.is_terminal()));
        let error_style = Style::new(colours(err.is_terminal()));
        Self { json, out, err, style, error_style }
    }

    /// Whether lines are shown as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows one line.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) fn line(&mut self, line: &Line) -> Result<(), Failure> {
        if let Line::Warning { message, .. } = line {
            self.complain("warning", message);
            return Ok(());
        }
        let text = if self.json { to_json(line)? } else { render::line(line, self.style) };
        self.print(&text)
    }

    /// Shows one piece of an answer.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) fn item(&mut self, item: Item) -> Result<(), Failure> {
        match item {
            Item::Line(line) => self.line(&line),
            Item::Export(text) => self.print(&text),
            Item::Confirm(shown) => {
                // Whoever wanted to know may have gone.
                let _ = shown.send(());
                Ok(())
            }
        }
    }

    /// Prints a text that is the same for people and programs, such as a file for a shell.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.print(text.trim_end())
    }

    /// Says why the command failed.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if failure.is_pipe_closed() {
            return;
        }
        if self.json {
            let error = serde_json::json!({ "error": { "code": failure.code, "message": failure.message } });
            // If nobody reads the output, standard error still has it.
            let _ = self.print(&error.to_string());
        }
        self.complain("error", &failure.message);
    }

    fn complain(&mut self, kind: &str, message: &str) {
        let text = render::complaint(kind, message, self.error_style);
        // There is no other place to say that standard error is closed.
        let _ = writeln!(self.err, "{text}");
    }

    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock();
        out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(
            |error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::pipe_closed(),
                _ => Failure::new(Exit::Other, "output", format!("cannot write the output: {error}")),
            },
        )
    }
}

fn to_json(line: &Line) -> Result<String, Failure> {
    serde_json::to_string(line).map_err(|error| {
        Failure::new(Exit::Other, "internal", format!("cannot write a line as JSON: {error}"))
    })
}
