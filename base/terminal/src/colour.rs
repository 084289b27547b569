//! Colours of the sixteen every terminal has.

/// A foreground colour or weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Strong text.
    Bold,
    /// Faint text.
    Faint,
    /// Failures.
    Red,
    /// Success.
    Green,
    /// Warnings.
    Yellow,
    /// Names.
    Cyan,
}

/// The text in the colour, or as it is when colours are off.
pub fn paint(text: &str, colour: Colour, on: bool) -> String {
    let code = match colour {
        Colour::Bold => 1,
        Colour::Faint => 2,
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Cyan => 36,
    };
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
