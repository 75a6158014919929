// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Version 2 of the metadata protocol: one question and one answer a line,
//! `V2 LENGTH CRC32 BODY`, where length and checksum are those of the body. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A line that is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It is not of the form of one.
    #[error("the answer is not of the form V2 LENGTH CRC32 ID CODE [VALUE]")]
    Form,
    /// It was changed or cut on its way.
    #[error("length or checksum of the answer are wrong")]
    Checksum,
    /// It belongs to another question.
    #[error("the answer is to another question")]
    Other,
    /// The question was understood and cannot be answered.
    #[error("the answer is that there was a failure")]
    Failure,
    /// The value is no text.
    #[error("the value in the answer is not base64 of UTF-8")]
    Value,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(String),
    /// There is no such key.
    None,
}

/// The question for the value of `key`.
pub(crate) fn request(id: u32, key: &str) -> Vec<u8> {
    let body = format!("{id:08x} GET {}", STANDARD.encode(key));
    (framed(&body) + "\n").into_bytes()
}

fn framed(body: &str) -> String {
    format!("V2 {} {:08x} {body}", body.len(), crc32fast::hash(body.as_bytes()))
}

/// The answer to the question `id`, in a line without its end.
///
/// # Errors
/// When it is none, or none to that question.
pub(crate) fn answer(line: &[u8], id: u32) -> Result<Answer, FrameError> {
    let text = std::str::from_utf8(line).map_err(|_| FrameError::Form)?;
    let (length, rest) =
        text.strip_prefix("V2 ").and_then(|rest| rest.split_once(' ')).ok_or(FrameError::Form)?;
    let (checksum, body) = rest.split_once(' ').ok_or(FrameError::Form)?;
    let checksum = u32::from_str_radix(checksum, 16).map_err(|_| FrameError::Form)?;
    if length.parse() != Ok(body.len()) || checksum != crc32fast::hash(body.as_bytes()) {
        return Err(FrameError::Checksum);
    }
    let mut words = body.split(' ');
    let (about, code, value) = (words.next(), words.next(), words.next().unwrap_or_default());
    if about.and_then(|about| u32::from_str_radix(about, 16).ok()) != Some(id) {
        return Err(FrameError::Other);
    }
    match code {
        Some("SUCCESS") => {
            let bytes = STANDARD.decode(value).map_err(|_| FrameError::Value)?;
            String::from_utf8(bytes).map(Answer::Value).map_err(|_| FrameError::Value)
        }
        Some("NOTFOUND") => Ok(Answer::None),
        Some(_) => Err(FrameError::Failure),
        None => Err(FrameError::Form),
    }
}

/// Anything as an answer, then as the body of one: refused, or what it says.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_any(bytes: &[u8]) {
    let _ = answer(bytes, 1);
    let body = format!("00000001 {}", String::from_utf8_lossy(bytes));
    if let Ok(Answer::Value(value)) = answer(framed(&body).as_bytes(), 1) {
        assert!(body.contains(&STANDARD.encode(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_as_mdata_get_asks_it() {
        assert_eq!(request(0xdc4f_ae17, "sdc:uuid"), b"V2 25 8cf8e622 dc4fae17 GET c2RjOnV1aWQ=\n");
    }

    #[test]
    fn answers() {
        // The example in the documentation of mdata-client.
        let known = b"V2 21 265ae1d8 dc4fae17 SUCCESS W10=";
        assert_eq!(answer(known, 0xdc4f_ae17), Ok(Answer::Value("[]".to_owned())));
        for (body, expected) in [
            ("00000001 SUCCESS", Ok(Answer::Value(String::new()))),
            ("00000001 NOTFOUND", Ok(Answer::None)),
            ("00000001 FAILURE bm8=", Err(FrameError::Failure)),
            ("00000002 NOTFOUND", Err(FrameError::Other)),
            ("00000001 SUCCESS ?", Err(FrameError::Value)),
            ("00000001 SUCCESS /w==", Err(FrameError::Value)),
            ("00000001", Err(FrameError::Form)),
            ("", Err(FrameError::Other)),
        ] {
            assert_eq!(answer(framed(body).as_bytes(), 1), expected, "{body}");
        }
        for (line, expected) in [
            ("", FrameError::Form),
            ("invalid command", FrameError::Form),
            ("V2 x y z", FrameError::Form),
            ("V2 21 265ae1d9 dc4fae17 SUCCESS W10=", FrameError::Checksum),
            ("V2 22 265ae1d8 dc4fae17 SUCCESS W10=", FrameError::Checksum),
        ] {
            assert_eq!(answer(line.as_bytes(), 0xdc4f_ae17), Err(expected), "{line}");
        }
    }
}
