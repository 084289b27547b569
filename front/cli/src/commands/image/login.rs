//! `login`: checks and keeps credentials of a registry.

use std::io::{BufRead, Read, Write};
use std::os::fd::AsFd;

use api_client::Query;
use serde_json::{Value as Json, json};

use super::auth;
use crate::command::Kind::{Switch, Text};
use crate::command::{Arity, Command, Flag, flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    flag("password", 'p', Text, "", "Password or token"),
    long("password-stdin", Switch, "Read the password from stdin"),
    flag("username", 'u', Text, "", "User name"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Authenticate to a registry",
    usage: &["[OPTIONS] [SERVER]"],
    spellings: &["login"],
    flags: &[FLAGS],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["login registry.example.com", "login -u me --password-stdin < token"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let key = match matches.arg(0) {
        "" => auth::HUB.to_owned(),
        server => host_of(server).to_owned(),
    };
    let key = if key == "docker.io" || key == "index.docker.io" { auth::HUB.to_owned() } else { key };
    let (user, password) = credentials(session, matches, &key)?;
    let body = json!({"username": user, "password": password, "serveraddress": key});
    let answer: Json = session.client()?.post("/auth", &Query::new(), &body)?;
    let token = answer.get("IdentityToken").and_then(Json::as_str).unwrap_or_default();
    let protected = auth::store(session, &key, &user, &password, token)?;
    if !protected {
        let path = session.config_dir().join("config.json");
        eprintln!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        );
    }
    let status = answer.get("Status").and_then(Json::as_str).filter(|text| !text.is_empty());
    println!("{}", status.unwrap_or("Login Succeeded"));
    Ok(())
}

/// The host of what may have been typed as an address.
pub fn host_of(server: &str) -> &str {
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    bare.split('/').next().unwrap_or_default()
}

fn credentials(session: &Session, matches: &Matches, key: &str) -> Result<(String, String), Failure> {
    let (mut user, mut password) = (matches.text("username").to_owned(), matches.text("password").to_owned());
    if matches.on("password-stdin") {
        if matches.given("password") {
            return Err(Failure::text(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        if user.is_empty() {
            return Err(Failure::text("the --password-stdin option requires --username to be set"));
        }
        std::io::stdin().take(1 << 16).read_to_string(&mut password)?;
        password = password.trim_end_matches(['\n', '\r']).to_owned();
    } else if matches.given("password") {
        eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if user.is_empty()
        && password.is_empty()
        && let Some(held) = auth::find(session, key)
    {
        let text = |name: &str| held.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        if !text("username").is_empty() {
            println!("Authenticating with existing credentials...");
            return Ok((text("username"), text("password")));
        }
    }
    if user.is_empty() || password.is_empty() {
        let input = std::io::stdin();
        if !terminal::is_terminal(&input) {
            return Err(Failure::text("Error: Cannot perform an interactive login from a non TTY device"));
        }
        if user.is_empty() {
            print!("Username: ");
            std::io::stdout().flush()?;
            input.lock().read_line(&mut user)?;
            user = user.trim().to_owned();
        }
        if password.is_empty() {
            print!("Password: ");
            std::io::stdout().flush()?;
            password = terminal::tty::read_secret(input.as_fd())?;
            println!();
        }
    }
    if password.is_empty() {
        return Err(Failure::text("password is empty"));
    }
    Ok((user, password))
}
