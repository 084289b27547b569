//! What a command is: its words, flags and arguments, as constant tables.

use crate::failure::Outcome;
use crate::matches::Matches;
use crate::session::Session;

/// A command that does something.
#[derive(Debug)]
pub struct Command {
    /// One sentence for lists.
    pub about: &'static str,
    /// What follows the name on the usage line; further lines are other forms.
    pub usage: &'static [&'static str],
    /// Every spelling, `container ls, container list, ps`; empty when there is only one.
    pub spellings: &'static [&'static str],
    /// Tables of flags, shown as one list.
    pub flags: &'static [&'static [Flag]],
    /// How many arguments it takes.
    pub arity: Arity,
    /// Whether flags may follow the first argument.
    pub interspersed: bool,
    /// Lines for the help's end: what people type.
    pub examples: &'static [&'static str],
    /// Does it.
    pub run: fn(&Session, &Matches) -> Outcome,
}

/// Words that hold further commands.
#[derive(Debug)]
pub struct Group {
    /// One sentence for lists.
    pub about: &'static str,
    /// The commands in it.
    pub entries: &'static [Entry],
    /// What runs when no further word follows; help when None.
    pub bare: Option<&'static Command>,
}

/// A name in a list of commands.
#[derive(Debug)]
pub struct Entry {
    /// The name shown.
    pub name: &'static str,
    /// Other names that work.
    pub aliases: &'static [&'static str],
    /// The heading it is listed under at the top.
    pub section: Section,
    /// What it is.
    pub node: Node,
}

/// A command or a group.
#[derive(Debug, Clone, Copy)]
pub enum Node {
    /// A command.
    Command(&'static Command),
    /// A group.
    Group(&'static Group),
}

/// Headings of the top help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What people use every day.
    Common,
    /// Groups by noun.
    Management,
    /// The rest.
    Plain,
    /// Works, is not listed.
    Hidden,
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy)]
pub enum Arity {
    /// None.
    None,
    /// Exactly so many.
    Exact(usize),
    /// So many or more.
    Min(usize),
    /// So many or fewer.
    Max(usize),
    /// Between two counts.
    Range(usize, usize),
    /// Any number.
    Any,
}

/// Says why a value can't be taken.
pub type Check = fn(&str) -> Result<(), String>;

/// What a flag takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Nothing, or true and false behind `=`.
    Switch,
    /// A text; the last one counts.
    Text,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// A number up to 65535.
    Uint16,
    /// An amount like `64m`.
    Bytes,
    /// An amount like `64m`, or -1.
    Swap,
    /// A number with a fraction.
    Decimal,
    /// A Go duration.
    Duration,
    /// Texts, one per use.
    List,
    /// Texts, separated by commas or one per use.
    Strings,
    /// `name=value`, one per use.
    Filter,
    /// One per use, checked; the name of the type for help.
    Checked(&'static str, Check),
    /// A single text, checked.
    CheckedText(&'static str, Check),
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The long name, without dashes.
    pub long: &'static str,
    /// The letter; NUL when there is none.
    pub short: char,
    /// What it takes.
    pub kind: Kind,
    /// The value when it is not given.
    pub default: &'static str,
    /// A sentence for help; empty hides the flag.
    pub help: &'static str,
}

/// A flag with a letter.
pub const fn flag(
    long: &'static str,
    short: char,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Flag {
    Flag { long, short, kind, default, help }
}

/// A flag without letter and default.
pub const fn long(long: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { long, short: '\0', kind, default: "", help }
}

/// A switch with a letter.
pub const fn switch(long: &'static str, short: char, help: &'static str) -> Flag {
    Flag { long, short, kind: Kind::Switch, default: "", help }
}

/// The flag `--format` of lists.
pub const FORMAT: Flag = Flag {
    long: "format",
    short: '\0',
    kind: Kind::Text,
    default: "",
    help: "How to print each item: 'table' (columns with headings), 'table TEMPLATE' (columns from a Go template), 'json' (one JSON line per item), or a Go template",
};

/// The flag `--format` of inspect commands.
pub const FORMAT_INSPECT: Flag = Flag {
    long: "format",
    short: 'f',
    kind: Kind::Text,
    default: "",
    help: "How to print: 'json' (one line of JSON), or a Go template run over each document",
};

impl Entry {
    /// A command by its name.
    pub const fn command(name: &'static str, command: &'static Command) -> Self {
        Self { name, aliases: &[], section: Section::Plain, node: Node::Command(command) }
    }

    /// A group by its name.
    pub const fn group(name: &'static str, group: &'static Group) -> Self {
        Self { name, aliases: &[], section: Section::Management, node: Node::Group(group) }
    }

    /// With other names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Under another heading.
    pub const fn section(mut self, section: Section) -> Self {
        self.section = section;
        self
    }

    /// The sentence for lists.
    pub fn about(&self) -> &'static str {
        match self.node {
            Node::Command(command) => command.about,
            Node::Group(group) => group.about,
        }
    }

    /// Whether this is what was typed.
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

impl Kind {
    /// The name of the type in help; empty for switches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Switch => "",
            Self::Text => "string",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Uint16 => "uint16",
            Self::Bytes | Self::Swap => "bytes",
            Self::Decimal => "decimal",
            Self::Duration => "duration",
            Self::List => "list",
            Self::Strings => "strings",
            Self::Filter => "filter",
            Self::Checked(name, _) | Self::CheckedText(name, _) => name,
        }
    }

    /// Whether every use adds a value.
    pub fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Strings | Self::Filter | Self::Checked(..))
    }
}
