//! `registry-conformance ADDRESS [USER:PASSWORD]`: checks a registry and prints what it lacks.

use std::process::ExitCode;

use registry_conformance::{Client, run};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(address) = words.next() else {
        eprintln!("usage: registry-conformance HOST:PORT [USER:PASSWORD]");
        return ExitCode::from(125);
    };
    let mut client = Client::new(&address);
    if let Some(pair) = words.next() {
        client = client.with_password(&pair);
    }
    // What a check found is printed below, once.
    std::panic::set_hook(Box::new(|_| {}));
    let (count, failures) = run(&client);
    for failure in &failures {
        println!("{}: {}", failure.name, failure.why);
    }
    println!("{} of {count} checks hold", count - failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
