//! The Date header, made once a second.

use std::cell::RefCell;

thread_local! {
    /// The second and its line.
    static LINE: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Adds the header line.
pub(super) fn push(text: &mut String) {
    let now = model::Timestamp::now();
    LINE.with_borrow_mut(|(second, line)| {
        if *second != now.seconds() {
            *second = now.seconds();
            *line = now.as_jiff().strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
        }
        text.push_str(line);
    });
}
