//! Colours, and text of others without what a terminal would obey.

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// Text of others on one line.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_control(c) { '\u{fffd}' } else { c }).collect()
}

/// Text of others; its lines stay lines, and are set in so that none looks like a message of its own.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| clean(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n    ")
}

/// Characters that a terminal obeys, those that end a line unseen, and those that turn the direction of writing around.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_plays_with_the_terminal() {
        assert_eq!(clean("\x1b[2Jhello\r"), "\u{fffd}[2Jhello\u{fffd}");
        assert_eq!(clean("\u{9b}1m\u{202e}\u{2028}\u{61c}"), "\u{fffd}1m\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(indented("one\r\n\x1b[1mtwo"), "one\n    \u{fffd}[1mtwo");
    }
}
