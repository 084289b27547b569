//! `login`: checks and keeps credentials of a registry.

use std::io::{BufRead, Read, Write};
use std::os::fd::AsFd;

use api_client::Query;
use serde_json::Value as Json;

use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::credentials::{self, Credential, Secret};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("password", 'p', Text, "", "Password or token; other users of this machine can see it"),
    long("password-stdin", Switch, "Read the password or token from stdin"),
    flag("username", 'u', Text, "", "User name"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Authenticate to a registry",
    usage: &["[OPTIONS] [SERVER]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["login registry.example.com", "login -u me --password-stdin < token"],
    run,
};

/// The longest password or token read from stdin, in bytes.
const PASSWORD_LIMIT: u64 = 1 << 16;

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (user, password) = given(matches)?;
    let server = match matches.arg(0) {
        "" | "docker.io" | "index.docker.io" => credentials::HUB,
        server => credentials::host_of(server),
    };
    if session.environment.own("AUTH_CONFIG").is_some() {
        eprintln!("WARNING: DOCKER_AUTH_CONFIG is set and stands above what this command keeps.");
    }
    let mut known_user = String::new();
    if user.is_empty() && password.is_empty() {
        // A helper that fails has told so; then there are no stored credentials.
        let held = credentials::find(session, server).ok().flatten();
        if let Some(held) = held.filter(|held| !held.user.is_empty() && !held.password.is_empty()) {
            known_user.clone_from(&held.user);
            match with_stored(session, held) {
                Ok(status) => return finish(&status),
                Err(failure) => eprintln!("Login did not succeed, error: {}", failure.message()),
            }
        }
    }
    let (user, password) = if user.is_empty() || password.is_empty() {
        ask(session, server, user, password, &known_user)?
    } else {
        (user, password)
    };
    let credential = Credential { server: server.to_owned(), user, password, ..Credential::default() };
    finish(&check_and_keep(session, credential)?)
}

fn finish(status: &str) -> Outcome {
    if !status.is_empty() {
        println!("{status}");
    }
    Ok(())
}

/// What the flags say.
fn given(matches: &Matches) -> Result<(String, Secret), Failure> {
    let user = matches.text("username").to_owned();
    let password = matches.text("password").to_owned();
    let from_input = matches.on("password-stdin");
    if from_input && matches.given("password") {
        return Err(Failure::text(
            "conflicting options: cannot specify both --password and --password-stdin",
        ));
    }
    if matches.given("username") && user.is_empty() {
        return Err(Failure::text("username is empty"));
    }
    if matches.given("password") {
        if password.is_empty() {
            return Err(Failure::text("password is empty"));
        }
        eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if !from_input {
        return Ok((user, Secret::new(password)));
    }
    if user.is_empty() {
        return Err(Failure::text("the --password-stdin option requires --username to be set"));
    }
    let mut read = String::new();
    std::io::stdin().take(PASSWORD_LIMIT).read_to_string(&mut read)?;
    Ok((user, Secret::new(read.trim_end_matches(['\r', '\n']))))
}

fn with_stored(session: &Session, held: Credential) -> Result<String, Failure> {
    eprintln!("Authenticating with existing credentials... [Username: {}]\n", held.user);
    note("To login with a different account, run 'docker logout' followed by 'docker login'");
    eprintln!("\n");
    check_and_keep(session, held)
}

/// A hint, marked as one.
fn note(text: &str) {
    if terminal::is_terminal(std::io::stderr()) {
        eprintln!(
            "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m\x1b[3m{text}\x1b[0m"
        );
    } else {
        eprintln!(" Info -> {text}");
    }
}

/// Has the engine try the credential at the registry, and keeps it when it is good.
fn check_and_keep(session: &Session, mut credential: Credential) -> Result<String, Failure> {
    let answer: Json = session.client()?.post("/auth", &Query::new(), &credential.document())?;
    let text = |name: &str| answer.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let token = text("IdentityToken");
    if !token.is_empty() {
        // The token stands for the password, which then need not be kept anywhere.
        credential.password = Secret::default();
        credential.identity_token = Secret::new(token);
    }
    credentials::store(session, &credential)?;
    Ok(text("Status"))
}

/// Asks the person for what is missing.
fn ask(
    session: &Session,
    server: &str,
    mut user: String,
    mut password: Secret,
    known_user: &str,
) -> Result<(String, Secret), Failure> {
    let input = std::io::stdin();
    if !terminal::is_terminal(&input) {
        return Err(Failure::text("Error: Cannot perform an interactive login from a non TTY device"));
    }
    if user.is_empty() {
        if server == credentials::HUB {
            println!("Log in with the account of {server}.");
        }
        let known = if known_user.is_empty() { String::new() } else { format!(" ({known_user})") };
        print!("Username{known}: ");
        std::io::stdout().flush()?;
        input.lock().read_line(&mut user)?;
        user = user.trim().to_owned();
        if user.is_empty() {
            known_user.clone_into(&mut user);
        }
        if user.is_empty() {
            return Err(Failure::text("Error: Non-null Username Required"));
        }
    }
    if password.is_empty() {
        if server == credentials::HUB && session.environment.get("DOCKER_CLI_HINTS") != Some("false") {
            note("An access token can be given in place of the password.");
        }
        let ask = || {
            print!("Password: ");
            std::io::stdout().flush()
        };
        password = Secret::new(terminal::tty::read_secret(input.as_fd(), ask)?);
        println!();
    }
    if password.is_empty() {
        return Err(Failure::text("Error: Password Required"));
    }
    Ok((user, password))
}
