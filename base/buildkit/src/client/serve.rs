//! The services of a session: each call answered from what is offered.

use std::io::Read as _;

use grpc::{Call, Code, Service, Status};

use super::folder::{self, View};
use super::{Offer, Secret};
use crate::services::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse, CredentialsRequest, CredentialsResponse,
    GetSecretRequest, GetSecretResponse, method,
};
use crate::session::tunnel;

/// Longest secret, in bytes; BuildKit's limit.
const LONGEST_SECRET: u64 = 500 << 10;
/// Bytes in one message.
const PIECE: usize = 32 << 10;

impl Service for Offer {
    fn call(&self, mut call: Call) -> Result<(), Status> {
        match call.path.clone().as_str() {
            method::FILE_SYNC => self.files(call),
            method::FILE_SEND => self.result(call),
            method::CREDENTIALS => call.unary(|_, request: CredentialsRequest| {
                let found = self.credentials(&request.host);
                Ok(found.map_or_else(CredentialsResponse::default, |found| CredentialsResponse {
                    username: found.username,
                    secret: found.secret,
                }))
            }),
            method::GET_SECRET => call.unary(|_, request: GetSecretRequest| {
                let none = || Status::new(Code::NotFound, format!("secret {}: not found", request.id));
                let secret = self.secret_of(&request.id).ok_or_else(none)?;
                Ok(GetSecretResponse { data: bytes_of(&request.id, secret)? })
            }),
            method::CHECK_AGENT => call.unary(|_, request: CheckAgentRequest| {
                self.agent_of(&request.id).map(|_| CheckAgentResponse {}).ok_or_else(|| no_agent(&request.id))
            }),
            method::FORWARD_AGENT => self.agent_connection(call),
            method::PULL => self.bytes(&call),
            method::CONTENT_INFO => self.blob_info(call),
            method::CONTENT_READ => self.read_blob(call),
            method::CONTENT_WRITE => self.write_blob(call),
            path => Err(Status::unimplemented(path)),
        }
    }
}

impl Offer {
    /// A folder, as far as the builder wants to see it.
    fn files(&self, mut call: Call) -> Result<(), Status> {
        let name = call.metadata.text("dir-name").unwrap_or_default().to_owned();
        let root = self
            .folder_named(&name)
            .ok_or_else(|| Status::new(Code::NotFound, format!("no access allowed to dir {name:?}")))?;
        let view = View::read(root, &call.metadata)?;
        folder::send(root, &view, &mut call.inbound, &call.outbound)
    }

    /// A result for one of our outputs.
    fn result(&self, call: Call) -> Result<(), Status> {
        let number = call.metadata.text("buildkit-attachable-exporter-id").and_then(|text| text.parse().ok());
        let output = self
            .output_of(number)
            .ok_or_else(|| Status::new(Code::InvalidArgument, "the client has no such output"))?;
        output.take(call.inbound, call.outbound)
    }

    fn agent_connection(&self, call: Call) -> Result<(), Status> {
        let id = call.metadata.text("buildkit.ssh.id").unwrap_or_default().to_owned();
        let connect = self.agent_of(&id).ok_or_else(|| no_agent(&id))?;
        let socket = connect().map_err(|error| {
            Status::new(Code::Unavailable, format!("failed to connect to the ssh agent {id}: {error}"))
        })?;
        tunnel::carry(socket, call.inbound, call.outbound)
    }

    /// Bytes that are there once.
    fn bytes(&self, call: &Call) -> Result<(), Status> {
        let path = call.metadata.text("urlpath").unwrap_or_default().trim_start_matches('/');
        let none = || Status::new(Code::NotFound, format!("no http response from session for {path}"));
        let mut bytes = self.take_upload(path).ok_or_else(none)?;
        loop {
            let mut data = vec![0; PIECE];
            let count =
                bytes.read(&mut data).map_err(|error| Status::new(Code::Unknown, error.to_string()))?;
            if count == 0 {
                return Ok(());
            }
            data.truncate(count);
            call.outbound.send(&BytesMessage { data })?;
        }
    }
}

fn bytes_of(id: &str, secret: &Secret) -> Result<Vec<u8>, Status> {
    let path = match secret {
        Secret::Value(bytes) => return Ok(bytes.clone()),
        Secret::File(path) => path,
    };
    let failed = |error: std::io::Error| {
        Status::new(Code::Unknown, format!("failed to read secret {id} from {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST_SECRET {
        let text = format!("invalid secret size: {} has more than {LONGEST_SECRET} bytes", path.display());
        return Err(Status::new(Code::InvalidArgument, text));
    }
    Ok(bytes)
}

fn no_agent(id: &str) -> Status {
    Status::new(Code::NotFound, format!("unset ssh forward key {id}"))
}
