//! A blocking HTTP/1.1 client: one socket per exchange in flight, kept and reused when an answer is read whole.

mod body;
mod copy;
mod endpoint;
mod exchange;
mod head;
mod remote;
mod send;
mod socket;
mod ssh;
mod tls;

pub use body::BodyReader;
pub use endpoint::{Endpoint, EndpointError};
pub use exchange::{Body, HttpClient, HttpError, Request, Response, Upgraded};
pub use head::Head;
pub use remote::{Patience, Proxy, ProxyAuthorization, Remote};
pub use send::FileBody;
pub use socket::Socket;
pub use tls::{TlsClient, TlsError, TlsFiles};
