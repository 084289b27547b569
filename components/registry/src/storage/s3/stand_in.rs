//! A server that behaves like an object store as far as the driver sees: signatures, ranges, pages, failures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use transport::server::{Exchange, Handler, Listener, ResponseHead, Server, percent_decode};

use super::sign::{Keys, UNSIGNED, hex_digest};
use super::{S3, S3Storage};
use crate::storage::contract;

/// Objects in one page of a listing: few, so that there are several.
const PAGE: usize = 3;

struct StandIn {
    keys: Keys,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: AtomicU32,
}

impl StandIn {
    fn is_signed(&self, exchange: &Exchange<'_>, body: &[u8]) -> bool {
        let head = &exchange.head;
        let header = |name: &str| head.header(name).unwrap_or_default();
        let given = header("authorization");
        let named = given.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next());
        let names: Vec<&str> = named.unwrap_or_default().split(';').collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (*name, header(name))).collect();
        let payload = header("x-amz-content-sha256");
        let is_body = payload == UNSIGNED || payload == hex_digest(body);
        let own = self.keys.authorization(
            &head.method,
            &head.path,
            &head.query,
            &headers,
            payload,
            header("x-amz-date"),
        );
        own == given && is_body && names.contains(&"host")
    }

    fn list(&self, query: &str) -> String {
        let parameter = |name| crate::server::route::parameter(query, name).unwrap_or_default().into_owned();
        let (prefix, after) = (parameter("prefix"), parameter("continuation-token"));
        let objects = self.objects.lock().unwrap();
        let mut found = objects.iter().filter(|(name, _)| name.starts_with(&prefix) && **name > after);
        let mut text = String::from("<ListBucketResult>");
        let mut last = String::new();
        for (name, bytes) in found.by_ref().take(PAGE) {
            last.clone_from(name);
            let _ = write!(
                text,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><Size>{}</Size></Contents>",
                crate::percent::escape_path(name),
                model::Timestamp::now(),
                bytes.len()
            );
        }
        let more = found.next().is_some();
        let _ = write!(text, "<IsTruncated>{more}</IsTruncated>");
        if more {
            let _ = write!(text, "<NextContinuationToken>{last}</NextContinuationToken>");
        }
        text + "</ListBucketResult>"
    }
}

impl Handler for StandIn {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        let body = exchange.body().unwrap().read_all(1 << 26).unwrap();
        let path = percent_decode(&exchange.head.path, false).unwrap().into_owned();
        let query = exchange.head.query.clone();
        let answer = |status| ResponseHead::new(status);
        // Every now and then it has no time.
        if self.requests.fetch_add(1, Ordering::Relaxed) % 7 == 3 {
            return drop(exchange.respond(&answer(503), b""));
        }
        if !self.is_signed(exchange, &body) {
            return drop(exchange.respond(&answer(403), b""));
        }
        if path == "/bucket" {
            return drop(exchange.respond(&answer(200), self.list(&query).as_bytes()));
        }
        let name = path.strip_prefix("/bucket/").unwrap().to_owned();
        let mut objects = self.objects.lock().unwrap();
        let _ = match (exchange.head.method.as_str(), objects.get(&name)) {
            ("PUT", _) => {
                objects.insert(name, body);
                exchange.respond(&answer(200), b"")
            }
            ("DELETE", _) => {
                objects.remove(&name);
                exchange.respond(&answer(204), b"")
            }
            (_, None) => exchange.respond(&answer(404), b""),
            (_, Some(bytes)) => {
                let range = exchange.head.header("range").map(str::to_owned);
                match crate::server::wanted(range.as_deref(), bytes.len() as u64) {
                    crate::server::Wanted::Part(part) => {
                        let part = usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap();
                        exchange.respond(&answer(206), &bytes[part])
                    }
                    _ => exchange.respond(&answer(200), bytes),
                }
            }
        };
    }
}

#[test]
fn keeps_the_contract_of_storages() {
    let keys = Keys { id: "id".into(), secret: "secret".into(), region: "here".into() };
    let stand_in = Arc::new(StandIn { keys, objects: Mutex::default(), requests: AtomicU32::new(0) });
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap(), None).unwrap();
    let address = listener.local_address().unwrap();
    let server = Server::start(vec![listener], Arc::clone(&stand_in) as Arc<_>).unwrap();
    let work = std::env::temp_dir().join(format!("wharf-registry-s3-{}", std::process::id()));
    std::fs::create_dir_all(&work).unwrap();
    let secret = work.join("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    let mut settings = S3 {
        endpoint: format!("http://{address}"),
        bucket: "bucket".into(),
        prefix: "some/where".into(),
        region: "here".into(),
        access_key: "id".into(),
        secret_key_file: secret.clone(),
        authority: None,
    };
    contract::run(&mut || Box::new(S3Storage::new(&settings).unwrap()), &work);
    assert!(stand_in.objects.lock().unwrap().keys().all(|name| name.starts_with("some/where/")));
    // A wrong key is an error, no missing object.
    std::fs::write(&secret, "other").unwrap();
    let wrong = S3Storage::new(&settings).unwrap();
    use crate::storage::Storage as _;
    assert!(wrong.record("a/2").is_err());
    settings.endpoint = "ftp://x".into();
    assert!(S3Storage::new(&settings).is_err());
    std::fs::remove_dir_all(&work).unwrap();
    server.stop();
}
