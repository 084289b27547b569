//! Signatures of requests (AWS Signature Version 4).

use ring::hmac;

/// Stands for the digest of a body that is not signed.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who signs.
#[derive(Clone)]
pub(super) struct Keys {
    pub id: String,
    pub secret: String,
    pub region: String,
}

impl Keys {
    /// The value of `Authorization`. Headers have lower-case names in order; `date` is as [`date`] writes it.
    pub(super) fn authorization(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        payload: &str,
        date: &str,
    ) -> String {
        let mut headers = headers.to_vec();
        headers.sort_unstable();
        let named: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let named = named.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{named}\n{payload}");
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex_digest(canonical.as_bytes()));
        let mut key = keyed(format!("AWS4{}", self.secret).as_bytes(), day);
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = keyed(&key, part);
        }
        let signature = model::id::hex(&keyed(&key, &text));
        format!("AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={named},Signature={signature}", self.id)
    }
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// The digits of a sha256 digest.
pub(super) fn hex_digest(bytes: &[u8]) -> String {
    model::id::hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// A time as signatures write it: `20130524T000000Z`.
pub(super) fn date(time: model::Timestamp) -> String {
    time.as_jiff().strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the "Authenticating Requests" chapter of Amazon's S3 API reference.
    #[test]
    fn the_examples_of_the_reference() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let empty = hex_digest(b"");
        let date = "20130524T000000Z";
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let always = [host, ("x-amz-content-sha256", empty.as_str()), ("x-amz-date", date)];
        let ranged = [always.as_slice(), &[("range", "bytes=0-9")]].concat();
        let signed = keys.authorization("GET", "/test.txt", "", &ranged, &empty, date);
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let listed = keys.authorization("GET", "/", "max-keys=2&prefix=J", &always, &empty, date);
        assert!(
            listed.ends_with("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
            "{listed}"
        );
        assert_eq!(self::date(model::Timestamp::from_unix(1_369_353_600, 0)), date);
        assert_eq!(crate::percent::escape_path("a/b:c@d#e"), "a/b%3Ac%40d%23e");
    }
}
