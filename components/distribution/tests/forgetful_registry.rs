//! A registry that forgets an upload it had begun, as one does that was started anew.

use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use distribution::content::{Content, ContentError, Take};
use distribution::{Gate, Limits, Push, PushBlob, PushStep};
use oci::Digest;
use oci::image::{Descriptor, media};
use registry_client::{Access, Client, Credentials, Settings, Stop};
use testkit::lying::{Registry, Reply, Request};

const BYTES: &[u8] = b"a layer that has to arrive";

/// One blob in a file.
struct One(std::path::PathBuf);

impl Content for One {
    fn has(&self, _: &Descriptor) -> Result<bool, ContentError> {
        Ok(true)
    }

    fn read(&self, _: &Digest) -> Result<Vec<u8>, ContentError> {
        Ok(BYTES.to_vec())
    }

    fn open(&self, _: &Digest) -> Result<File, ContentError> {
        Ok(File::open(&self.0).expect("the blob's file"))
    }

    fn take(&self, _: &Descriptor, _: Duration) -> Result<Take, ContentError> {
        Ok(Take::Present)
    }
}

/// Forgets so many uploads; answers what the push said, the steps told, and the places uploads were sent to.
fn push_to_one_that_forgets(uploads: usize) -> (Result<(), String>, Vec<PushStep>, Vec<String>) {
    let begun = AtomicUsize::new(0);
    let registry = Registry::start(move |request: &Request| match request.method.as_str() {
        "HEAD" => Reply::new(404, ""),
        "POST" => {
            let place = format!("/v2/app/blobs/uploads/{}", begun.fetch_add(1, Ordering::SeqCst));
            Reply::new(202, "").with("Location", &place)
        }
        "PUT" if (0..uploads).any(|lost| request.path.contains(&format!("uploads/{lost}?"))) => Reply::new(
            404,
            r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#,
        ),
        "PUT" if request.body == BYTES => Reply::new(201, ""),
        _ => Reply::new(200, "{}"),
    });
    let path = std::env::temp_dir().join(format!("wharf-forgetful-{uploads}-{}", std::process::id()));
    std::fs::write(&path, BYTES).expect("write the blob");
    let reference = format!("{}/app:1", registry.address()).parse().expect("a name");
    let client = Client::new(Settings::default());
    let repository =
        client.repository(&reference, &Credentials::Anonymous, Access::Push).expect("reach the registry");
    let (limits, gate, stop) = (Limits::default(), Gate::new(1), Stop::default());
    let content = One(path.clone());
    let push = Push { repository: &repository, content: &content, limits: &limits, gate: &gate, stop: &stop };
    let blob = PushBlob { descriptor: Descriptor::of(media::OCI_LAYER, BYTES), mounts: Vec::new() };
    let steps = Mutex::new(Vec::new());
    let outcome = push.blobs(&[blob], &|_, step| steps.lock().expect("no panic").push(step));
    std::fs::remove_file(path).expect("remove the blob");
    let asked = registry.requests();
    let puts = asked.iter().filter(|request| request.method == "PUT").map(|request| request.path.clone());
    let outcome = outcome.map_err(|error| model::error::chain(&error));
    (outcome, steps.into_inner().expect("no panic"), puts.collect())
}

#[test]
fn an_upload_that_was_forgotten_begins_anew() {
    let (outcome, steps, puts) = push_to_one_that_forgets(1);
    assert_eq!(outcome, Ok(()));
    assert_eq!(steps.last(), Some(&PushStep::Pushed));
    assert!(puts.len() == 2 && puts[0].contains("uploads/0?") && puts[1].contains("uploads/1?"), "{puts:?}");
    // Who forgets all of them is not asked for ever.
    let (outcome, _, puts) = push_to_one_that_forgets(9);
    assert!(outcome.unwrap_err().contains("blob upload unknown"));
    assert_eq!(puts.len(), 2);
}
