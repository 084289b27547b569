//! How a call ended: code, message and details, and their form in trailers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderValue};
use model::error::{ErrorKind, Kinded};
use prost::Message as _;

/// The end of a call. A failure as an error type, success as code `Ok`.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What kind of end.
    pub code: Code,
    /// For people.
    pub message: String,
    /// Typed facts about a failure, as the peer's `google.rpc.Status` carries them.
    pub details: Vec<Any>,
}

/// The codes of gRPC, with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// It worked.
    Ok = 0,
    /// The caller gave up.
    Cancelled = 1,
    /// No other code fits; what a failing build step has.
    Unknown = 2,
    /// The request is wrong.
    InvalidArgument = 3,
    /// The time the caller gave is over.
    DeadlineExceeded = 4,
    /// No such thing.
    NotFound = 5,
    /// There is one already.
    AlreadyExists = 6,
    /// The caller may not.
    PermissionDenied = 7,
    /// A limit was reached.
    ResourceExhausted = 8,
    /// The present state forbids it.
    FailedPrecondition = 9,
    /// A conflict with another call.
    Aborted = 10,
    /// Beyond the end.
    OutOfRange = 11,
    /// No such method.
    Unimplemented = 12,
    /// Something is broken.
    Internal = 13,
    /// Not now; also a connection that is gone.
    Unavailable = 14,
    /// Bytes are lost.
    DataLoss = 15,
    /// The caller has to say who it is.
    Unauthenticated = 16,
}

impl Code {
    /// The code of a number; an unknown number is `Unknown`, as gRPC says.
    pub fn from_number(number: i32) -> Self {
        const ALL: [Code; 17] = [
            Code::Ok,
            Code::Cancelled,
            Code::Unknown,
            Code::InvalidArgument,
            Code::DeadlineExceeded,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
            Code::Unauthenticated,
        ];
        usize::try_from(number).ok().and_then(|at| ALL.get(at)).copied().unwrap_or(Code::Unknown)
    }
}

/// A message of any type, named by an address: `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/` and the type's full name.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Any {
    /// A message with its type's full name.
    pub fn pack(type_name: &str, message: &impl prost::Message) -> Self {
        Self { type_url: format!("type.googleapis.com/{type_name}"), value: message.encode_to_vec() }
    }

    /// The full name of the type.
    pub fn type_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }
}

/// A status as a message: `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// The code's number.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed facts.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Success.
    pub fn ok() -> Self {
        Self::new(Code::Ok, "")
    }

    /// The status of a method that is not there.
    pub fn unimplemented(path: &str) -> Self {
        Self::new(Code::Unimplemented, format!("unknown method {path}"))
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with_detail(mut self, detail: Any) -> Self {
        self.details.push(detail);
        self
    }

    /// The status as a message.
    pub fn to_message(&self) -> RpcStatus {
        RpcStatus { code: self.code as i32, message: self.message.clone(), details: self.details.clone() }
    }

    /// The status a message means.
    pub fn from_message(message: RpcStatus) -> Self {
        Self { code: Code::from_number(message.code), message: message.message, details: message.details }
    }

    /// Puts the status into trailers.
    pub(crate) fn write_to(&self, trailers: &mut HeaderMap) {
        trailers.insert("grpc-status", HeaderValue::from(self.code as i32));
        if !self.message.is_empty()
            && let Ok(value) = HeaderValue::from_str(&percent_encode(clip(&self.message)))
        {
            trailers.insert("grpc-message", value);
        }
        if self.details.is_empty() {
            return;
        }
        let details = STANDARD_NO_PAD.encode(self.to_message().encode_to_vec());
        if details.len() <= MAX_DETAILS
            && let Ok(value) = HeaderValue::from_str(&details)
        {
            trailers.insert("grpc-status-details-bin", value);
        }
    }

    /// The status in trailers; `None` when there is none.
    pub(crate) fn read_from(trailers: &HeaderMap) -> Option<Self> {
        let number = trailers.get("grpc-status")?.to_str().ok()?.parse().unwrap_or(Code::Unknown as i32);
        let message = trailers.get("grpc-message").map(|value| percent_decode(value.as_bytes()));
        let details = trailers
            .get("grpc-status-details-bin")
            .and_then(|value| decode_base64(value.as_bytes()))
            .and_then(|bytes| RpcStatus::decode(bytes.as_slice()).ok())
            .map(|status| status.details);
        Some(Self {
            code: Code::from_number(number),
            message: message.unwrap_or_default(),
            details: details.unwrap_or_default(),
        })
    }
}

/// Longest message in trailers, in bytes: clients bound their header lists.
const MAX_MESSAGE: usize = 16 << 10;
/// Longest details in trailers, in bytes of base64; left out when longer.
const MAX_DETAILS: usize = 256 << 10;

fn clip(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE)]
}

/// Base64 with and without padding, as peers send both.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok()
}

/// gRPC's form of text in headers: printable ASCII as it is, all else as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                for half in [byte >> 4, byte & 15] {
                    encoded.push(char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
    encoded
}

/// The text of a header; what is no `%XX` stands for itself.
fn percent_decode(bytes: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = (byte == b'%').then(|| tail.get(..2)).flatten();
        let value = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(value.unwrap_or(byte));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(decoded)
        .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            write!(formatter, "{:?}", self.code)
        } else {
            formatter.write_str(&self.message)
        }
    }
}

impl std::error::Error for Status {}

impl Kinded for Status {
    fn kind(&self) -> ErrorKind {
        match self.code {
            Code::Cancelled | Code::DeadlineExceeded => ErrorKind::Cancelled,
            Code::InvalidArgument | Code::OutOfRange => ErrorKind::Invalid,
            Code::NotFound => ErrorKind::NotFound,
            Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => ErrorKind::Conflict,
            Code::PermissionDenied => ErrorKind::Forbidden,
            Code::Unauthenticated => ErrorKind::Unauthorized,
            Code::Unimplemented => ErrorKind::NotImplemented,
            Code::Unavailable | Code::ResourceExhausted => ErrorKind::Unavailable,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Internal,
        }
    }
}

/// The code that says a kind of failure.
impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Conflict => Code::FailedPrecondition,
            ErrorKind::Invalid => Code::InvalidArgument,
            ErrorKind::Forbidden => Code::PermissionDenied,
            ErrorKind::Unauthorized => Code::Unauthenticated,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::NotModified => Code::AlreadyExists,
            ErrorKind::NotImplemented => Code::Unimplemented,
            ErrorKind::Cancelled => Code::Cancelled,
            ErrorKind::Internal => Code::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(status: &Status) -> Status {
        let mut trailers = HeaderMap::new();
        status.write_to(&mut trailers);
        Status::read_from(&trailers).expect("there is a status")
    }

    #[test]
    fn any_text_survives_trailers() {
        for message in ["", "plain", "100% sure", "zwei\nZeilen\r\n", "äöü – 日本", "%41 stays", "\u{0}"]
        {
            let status = Status::new(Code::NotFound, message);
            assert_eq!(round_trip(&status), status);
        }
    }

    #[test]
    fn details_survive_trailers() {
        let status = Status::new(Code::Unknown, "failed").with_detail(Any::pack(
            "google.rpc.Status",
            &RpcStatus { code: 7, message: "inner".into(), details: vec![] },
        ));
        let read = round_trip(&status);
        assert_eq!(read, status);
        assert_eq!(read.details[0].type_name(), "google.rpc.Status");
        let inner = RpcStatus::decode(read.details[0].value.as_slice()).expect("a status");
        assert_eq!((inner.code, inner.message.as_str()), (7, "inner"));
    }

    #[test]
    fn details_are_read_with_padding_too() {
        let message = RpcStatus { code: 2, message: "ab".into(), details: vec![Any::default()] };
        let text = base64::engine::general_purpose::STANDARD.encode(message.encode_to_vec());
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("2"));
        trailers.insert("grpc-status-details-bin", HeaderValue::from_str(&text).expect("ascii"));
        assert_eq!(Status::read_from(&trailers).expect("a status").details.len(), 1);
    }

    #[test]
    fn odd_trailers_are_read_leniently() {
        let mut trailers = HeaderMap::new();
        assert_eq!(Status::read_from(&trailers), None);
        trailers.insert("grpc-status", HeaderValue::from_static("99"));
        trailers.insert("grpc-message", HeaderValue::from_static("50%zz %4"));
        trailers.insert("grpc-status-details-bin", HeaderValue::from_static("!!"));
        let status = Status::read_from(&trailers).expect("a status");
        assert_eq!(status, Status::new(Code::Unknown, "50%zz %4"));
    }

    #[test]
    fn an_endless_message_is_clipped_between_letters() {
        let status = Status::new(Code::Unknown, "ü".repeat(MAX_MESSAGE));
        assert_eq!(round_trip(&status).message, "ü".repeat(MAX_MESSAGE / 2));
    }

    #[test]
    fn every_number_has_its_code() {
        for number in 0..17 {
            assert_eq!(Code::from_number(number) as i32, number);
        }
        assert_eq!(Code::from_number(-1), Code::Unknown);
    }
}
