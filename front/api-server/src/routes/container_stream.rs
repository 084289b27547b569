//! Containers: logs, stats, wait and attach, which answer for as long as the client listens.

use std::io::Write;
use std::os::fd::AsFd;

use api::ApiVersion;
use engine::container::parameters::{AttachParameters, LogParameters};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use transport::server::{WebSocketError, accept_websocket};

use crate::call::{Call, encode, write_record};
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// Which content type a stream of output has (wire detail 8).
pub(crate) fn stream_type(framed: bool, upgraded: bool, version: ApiVersion) -> &'static str {
    if framed && upgraded && version.at_least(42) { api::stream::MULTIPLEXED } else { api::stream::RAW }
}

/// `GET /containers/{}/logs`
pub(crate) fn logs(call: &mut Call<'_, '_>) -> Answer {
    let query = &call.query;
    let parameters = LogParameters {
        follow: query.flag("follow"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: query.time("since")?,
        until: query.time("until")?,
        timestamps: query.flag("timestamps"),
        // Anything that is no number means all, as in Docker.
        tail: query.text("tail").parse().ok(),
        details: query.flag("details"),
    };
    let logs = call.engine.containers().logs(&call.name(), parameters)?;
    let mut output = call.stream(stream_type(!logs.tty, true, call.version))?;
    let client = output.socket();
    logs.write_to(&mut output, Some(client.as_fd()))?;
    Ok(output.finish()?)
}

/// `POST /containers/{}/wait`: the head goes out when the waiter is registered, the body at the end.
pub(crate) fn wait(call: &mut Call<'_, '_>) -> Answer {
    let condition = call.query.non_empty("condition").filter(|_| call.version.at_least(30));
    let waiting = call.engine.containers().wait(&call.name(), condition.as_deref())?;
    let mut output = call.stream(api::stream::JSON)?;
    if let Some(response) = waiting.wait(Some(output.socket().as_fd())) {
        output.write_all(&encode(&response)?)?;
    }
    Ok(output.finish()?)
}

/// `GET /containers/{}/stats`: one sample, or one a second.
pub(crate) fn stats(call: &mut Call<'_, '_>) -> Answer {
    let stream = call.query.flag_or("stream", true);
    let one_shot = call.query.flag("one-shot") && call.version.at_least(41);
    if stream && one_shot {
        return Err(Failure::new(400, "cannot have stream=true and one-shot=true"));
    }
    let samples = call.engine.containers().stats(&call.name(), one_shot, stream)?;
    if !stream {
        let mut samples = samples;
        let sample = samples.next().ok_or_else(|| Failure::new(500, "no statistics"))?;
        return call.json(200, &sample);
    }
    let mut output = call.stream(api::stream::JSON)?;
    let client = output.socket();
    for sample in samples {
        write_record(&mut output, &sample, "\n")?;
        if has_gone(client) {
            break;
        }
    }
    Ok(output.finish()?)
}

/// Whether the client listens no longer.
fn has_gone(client: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::from_borrowed_fd(client.as_fd(), PollFlags::RDHUP)];
    poll(&mut polled, Some(&now)).unwrap_or(0) > 0
}

fn attach_parameters(call: &Call<'_, '_>, never_framed: bool) -> AttachParameters {
    let query = &call.query;
    AttachParameters {
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        detach_keys: query.non_empty("detachKeys"),
        never_framed,
    }
}

/// `POST /containers/{}/attach`: refusals are plain text with the stream's type, as Docker sends them.
pub(crate) fn attach(call: &mut Call<'_, '_>) -> Answer {
    let parameters = attach_parameters(call, false);
    let upgraded = call.exchange.head.wants_upgrade();
    match call.engine.containers().attach(&call.name(), parameters) {
        Ok(attachment) => {
            let kind = stream_type(attachment.framed, upgraded, call.version);
            hijack_error(
                attachment.run(|| call.hijack(kind).map(|taken| (taken.socket.into(), taken.early)))?,
            )
        }
        Err(error) => {
            let failure = Failure::from(error);
            let head = call.head(failure.status()).content_type(stream_type(true, upgraded, call.version));
            call.exchange.close_after();
            Ok(call.exchange.respond(&head, format!("{failure}\r\n").as_bytes())?)
        }
    }
}

/// `GET /containers/{}/attach/ws`
pub(crate) fn attach_websocket(call: &mut Call<'_, '_>) -> Answer {
    let mut parameters = attach_parameters(call, true);
    if call.version.below(42) {
        // Older versions attached everything whatever was asked.
        (parameters.stdin, parameters.stdout, parameters.stderr) = (true, true, true);
        parameters.stream = true;
    }
    let attachment = call.engine.containers().attach(&call.name(), parameters)?;
    hijack_error(attachment.run(|| {
        let plain = accept_websocket(call.exchange).map_err(|error| match error {
            WebSocketError::Handshake(why) => Failure::new(400, format!("not a websocket handshake: {why}")),
            WebSocketError::Io(error) => Failure::from(error),
        })?;
        Ok::<_, Failure>((plain.into(), Vec::new()))
    })?)
}

/// After the connection was taken over there is no answer left to carry an error.
pub(crate) fn hijack_error(result: engine::Result<()>) -> Answer {
    drop(result);
    Ok(())
}
