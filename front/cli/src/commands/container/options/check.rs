//! What single values of flags have to look like, and docker's complaints when they don't.

use std::net::IpAddr;

use model::Ulimit;

type Checked = Result<(), String>;

/// `NAME:ADDRESS` of `--add-host`; `=` may stand for the colon.
pub fn extra_host(text: &str) -> Checked {
    let bad = || format!("bad format for add-host: {}", crate::value::quoted(text));
    let (name, address) = text.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Ok(());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match bare.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("invalid IP address in add-host: {}", crate::value::quoted(bare))),
    }
}

/// Anything.
pub fn anything(_text: &str) -> Checked {
    Ok(())
}

/// A stream for `--attach`.
pub fn stream(text: &str) -> Checked {
    match text.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// An address for `--dns`.
pub fn address(text: &str) -> Checked {
    match text.trim().parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {}", text.trim())),
    }
}

/// A domain for `--dns-search`; a dot alone means none.
pub fn domain(text: &str) -> Checked {
    let name = text.trim_matches(' ');
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let stripped = name.strip_suffix('.').unwrap_or(name);
    if name == "."
        || (name.len() < 255
            && name.bytes().any(|b| b.is_ascii_alphabetic())
            && stripped.split('.').all(good_label))
    {
        Ok(())
    } else {
        Err(format!("{name} is not a valid domain"))
    }
}

/// A variable for `--env`.
pub fn variable(text: &str) -> Checked {
    if text.is_empty() || text.starts_with('=') {
        Err(format!("invalid environment variable: {text}"))
    } else {
        Ok(())
    }
}

/// A label for `--label`.
pub fn label(text: &str) -> Checked {
    let key = text.split('=').next().unwrap_or_default().trim_start();
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if key.contains([' ', '\t']) {
        return Err(format!("label '{key}' contains whitespaces"));
    }
    Ok(())
}

/// `NAME[:ALIAS]` for `--link`.
pub fn link(text: &str) -> Checked {
    let parts: Vec<&str> = text.split(':').collect();
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(())
}

/// A kernel parameter that a namespace has of its own.
pub fn sysctl(text: &str) -> Checked {
    const KNOWN: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.domainname",
    ];
    let Some((name, _)) = text.split_once('=') else { return Err(format!("sysctl '{text}' is not allowed")) };
    if KNOWN.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") {
        Ok(())
    } else {
        Err(format!("sysctl '{text}' is not allowed"))
    }
}

/// `NAME=SOFT[:HARD]`.
pub fn ulimit(text: &str) -> Checked {
    parse_ulimit(text).map(drop)
}

/// A resource limit.
pub fn parse_ulimit(text: &str) -> Result<Ulimit, String> {
    text.parse().map_err(|error: model::ulimit::ParseUlimitError| error.to_string())
}

/// Name and retries of a restart policy.
pub fn restart_policy(text: &str) -> Result<(String, i64), String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if name.is_empty() && count.is_some() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let retries = match count {
        Some(count) => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
        None => 0,
    };
    Ok((name.to_owned(), retries))
}
