//! The verbs of `printf`.

use super::print;
use super::value::Value;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    zero: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

const MAX_WIDTH: usize = 100_000;

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Go's `fmt.Sprintf`.
pub(super) fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = Spec::read(&mut chars, &mut arguments);
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match arguments.next() {
            Some(argument) => out.push_str(&spec.apply(verb, argument)),
            None => {
                out.push_str("%!");
                out.push(verb);
                out.push_str("(MISSING)");
            }
        }
    }
    let rest: Vec<String> =
        arguments.map(|value| format!("{}={}", value.type_name(), print::plain(value))).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

/// A width or precision: digits, or `*` for the next argument.
fn number(chars: &mut Chars<'_>, arguments: &mut std::slice::Iter<'_, Value>) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        return match arguments.next() {
            Some(Value::Int(value)) => usize::try_from(*value).ok().map(|value| value.min(MAX_WIDTH)),
            _ => None,
        };
    }
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some((value.unwrap_or(0usize) * 10 + digit as usize).min(MAX_WIDTH));
    }
    value
}

impl Spec {
    /// Flags, width and precision behind a percent sign.
    fn read(chars: &mut Chars<'_>, arguments: &mut std::slice::Iter<'_, Value>) -> Self {
        let mut spec = Self::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                _ => spec.space = true,
            }
        }
        spec.width = number(chars, arguments);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(chars, arguments).unwrap_or(0));
        }
        spec
    }

    fn apply(&self, verb: char, value: &Value) -> String {
        let text = match (verb, value) {
            ('v', Value::Int(_)) | ('d', Value::Int(_)) => return self.number(value, 10, false),
            ('x' | 'X', Value::Int(_)) => return self.number(value, 16, verb == 'X'),
            ('o', Value::Int(_)) => return self.number(value, 8, false),
            ('b', Value::Int(_)) => return self.number(value, 2, false),
            ('c', Value::Int(code)) => {
                u32::try_from(*code).ok().and_then(char::from_u32).map(String::from).unwrap_or_default()
            }
            ('U', Value::Int(code)) => format!("U+{code:04X}"),
            ('q', Value::Int(code)) => {
                format!("'{}'", u32::try_from(*code).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'))
            }
            ('f' | 'F', Value::Float(number)) => format!("{number:.*}", self.precision.unwrap_or(6)),
            ('e', Value::Float(number)) => exponent(*number, self.precision.unwrap_or(6)),
            ('g', Value::Float(number)) => print::float(*number),
            ('t', Value::Bool(on)) => on.to_string(),
            ('q', Value::Text(text)) => model::quote::go(text),
            ('q', Value::List(items)) => {
                let parts: Vec<String> =
                    items.iter().map(|item| model::quote::go(&print::plain(item))).collect();
                format!("[{}]", parts.join(" "))
            }
            ('x', Value::Text(text)) => model::id::hex(text.as_bytes()),
            ('X', Value::Text(text)) => model::id::hex(text.as_bytes()).to_uppercase(),
            ('T', value) => value.type_name(),
            ('s', Value::Text(text)) => match self.precision {
                Some(limit) => text.chars().take(limit).collect(),
                None => text.to_string(),
            },
            ('v', Value::Text(text)) if self.sharp => model::quote::go(text),
            ('v', _) | ('s', Value::List(_) | Value::Map(..)) => print::plain(value),
            ('s' | 'd' | 'q' | 't' | 'f', Value::Missing | Value::Null(_)) => format!("%!{verb}(<nil>)"),
            _ => format!("%!{verb}({}={})", value.type_name(), print::plain(value)),
        };
        self.pad(text)
    }

    fn number(&self, value: &Value, radix: u32, upper: bool) -> String {
        let Value::Int(value) = value else { return String::new() };
        let size = value.unsigned_abs();
        let mut digits = match radix {
            16 if upper => format!("{size:X}"),
            16 => format!("{size:x}"),
            8 => format!("{size:o}"),
            2 => format!("{size:b}"),
            _ => size.to_string(),
        };
        if self.sharp && radix == 16 {
            digits = format!("{}{digits}", if upper { "0X" } else { "0x" });
        }
        let sign = match (*value < 0, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        if self.zero && !self.minus {
            let width = self.width.unwrap_or(0).saturating_sub(sign.len());
            return format!("{sign}{digits:0>width$}");
        }
        self.pad(format!("{sign}{digits}"))
    }

    fn pad(&self, text: String) -> String {
        let width = self.width.unwrap_or(0);
        if self.minus { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}
