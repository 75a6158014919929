// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! The newest image `dockerlogger` of an image API (IMGAPI), whose file is a
//! bundle. The API's word decides nothing but which file is looked at: length
//! and SHA-1 of its manifest only tell a broken transfer early, and what is in
//! the bundle is trusted as far as its signatures go.
//!
//! The small files of an image are remembered, since an image never changes: a
//! check that finds the same image costs one request.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Deserialize;

use crate::engine::error::FetchError;
use crate::engine::refusals::ImageFile;
use crate::engine::source::bundle::BundleRepository;
use crate::engine::source::http::HttpRepository;
use crate::engine::source::memory::{Memory, Remembered};
use crate::engine::source::{Access, Expect, Imgapi, Pieces, Repository, open_bounded};
use crate::os::Files;

/// The name of our images.
const NAME: &str = "dockerlogger";

/// An image as the API describes it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct Image {
    uuid: String,
    name: String,
    state: String,
    published_at: Timestamp,
    #[serde(default)]
    files: Vec<ListedFile>,
}

#[derive(Debug, Clone, Deserialize)]
struct ListedFile {
    sha1: String,
    size: u64,
    compression: String,
}

/// The bundle in the newest image.
pub(super) struct ImgapiRepository {
    http: HttpRepository,
    image: Image,
    file: ListedFile,
    memory: Memory,
    memory_key: String,
    files: Arc<dyn Files>,
    /// Where the image's file is kept while it is needed.
    path: PathBuf,
    reserve: u64,
    bundle: Option<BundleRepository>,
    has_come: bool,
}

impl ImgapiRepository {
    pub(super) fn open(imgapi: &Imgapi, access: Access<'_>) -> Result<Self, FetchError> {
        let Access { config, layout, memory, .. } = access;
        let mut list = imgapi.base.clone();
        list.set_path("/images");
        list.query_pairs_mut()
            .append_pair("name", NAME)
            .append_pair("state", "active")
            .append_pair("sort", "published_at.desc")
            .append_pair("limit", "10");
        if let Some(channel) = &imgapi.channel {
            list.query_pairs_mut().append_pair("channel", channel);
        }
        // The API is in the data centre: no proxy.
        let http = HttpRepository::new(&imgapi.base, None, access)?;
        let images = http.fetch_url(&list, Expect::AtMost(config.limits.document_bytes))?;
        let image = newest(&images)?;
        let file = usable_file(&image, config.limits.image_bytes)?.clone();
        let memory_key = format!("{}images/{}/{}", imgapi.base, image.uuid, file.sha1);
        let path = layout.tmp().join(format!("image-{}", image.uuid));
        Ok(Self {
            http,
            image,
            file,
            memory: memory.clone(),
            memory_key,
            files: Arc::clone(&layout.files),
            path,
            reserve: config.reserve_bytes,
            bundle: None,
            has_come: false,
        })
    }

    fn bundle(&mut self) -> Result<&mut BundleRepository, FetchError> {
        if self.bundle.is_none() {
            self.download()?;
            self.bundle = Some(BundleRepository::open(&self.path)?);
        }
        self.bundle.as_mut().ok_or(FetchError::NotFound)
    }

    /// Brings the image's file here, whole.
    fn download(&mut self) -> Result<(), FetchError> {
        let ListedFile { size, sha1, .. } = &self.file;
        let available = self.files.available(self.path.parent().unwrap_or(&self.path))?;
        if available < size.saturating_add(self.reserve) {
            let (needed, reserve) = (*size, self.reserve);
            return Err(FetchError::Space { available, needed, reserve });
        }
        self.files.unlink(&self.path)?;
        let path = format!("images/{}/file", self.image.uuid);
        let mut body = open_bounded(&mut self.http, &path, Expect::Exactly(*size), 0)?;
        self.has_come = true;
        let mut kept = self.files.create(&self.path)?;
        let mut hasher = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        loop {
            let piece = body.piece()?;
            if piece.is_empty() {
                break;
            }
            hasher.update(&piece);
            kept.write(&piece)?;
        }
        let got: String =
            hasher.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if got != *sha1 {
            let uuid = &self.image.uuid;
            let problem =
                format!("the file of image {uuid} has SHA-1 {got}, its manifest says {sha1}");
            return Err(FetchError::Image { problem });
        }
        Ok(())
    }

    fn fetch_new(&mut self, path: &str, expect: Expect) -> Result<Vec<u8>, FetchError> {
        self.bundle()?.fetch(path, expect)
    }
}

impl Repository for ImgapiRepository {
    fn open(
        &mut self,
        path: &str,
        expect: Expect,
        from: u64,
    ) -> Result<Box<dyn Pieces>, FetchError> {
        self.bundle()?.open(path, expect, from)
    }

    fn fetch(&mut self, path: &str, expect: Expect) -> Result<Vec<u8>, FetchError> {
        let key = format!("{} {path}", self.memory_key);
        if let Some(known) = self.memory.get(&key) {
            return known.content.ok_or(FetchError::NotFound);
        }
        let fetched = self.fetch_new(path, expect);
        let content = match &fetched {
            Ok(content) => Some(content.clone()),
            Err(FetchError::NotFound) => None,
            Err(_) => return fetched,
        };
        self.memory.put(&key, Remembered { etag: None, content });
        fetched
    }

    fn is_network(&self) -> bool {
        // The image is here whole before anything of it is read.
        false
    }

    fn image(&self) -> Option<ImageFile> {
        Some(ImageFile { uuid: self.image.uuid.clone(), sha1: self.file.sha1.clone() })
    }

    fn has_come(&self) -> bool {
        self.has_come
    }
}

impl Drop for ImgapiRepository {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the root is opened again.
        let _ = self.files.unlink(&self.path);
    }
}

/// The newest usable image of a list. Pure.
fn newest(list: &[u8]) -> Result<Image, FetchError> {
    let images: Vec<serde_json::Value> = serde_json::from_slice(list).map_err(|e| {
        FetchError::Image { problem: format!("the answer is not a list of images: {e}") }
    })?;
    let ours = images
        .into_iter()
        .filter_map(|image| serde_json::from_value::<Image>(image).ok())
        .filter(|image| image.name == NAME && image.state == "active" && is_uuid(&image.uuid));
    ours.max_by_key(|image| image.published_at).ok_or_else(|| FetchError::Image {
        problem: format!("the image API has no active image named {NAME}"),
    })
}

fn usable_file(image: &Image, bytes_max: u64) -> Result<&ListedFile, FetchError> {
    let refused = |problem: String| FetchError::Image {
        problem: format!("image {} cannot be used: {problem}", image.uuid),
    };
    let [file] = image.files.as_slice() else {
        return Err(refused(format!("it has {} files, expected 1", image.files.len())));
    };
    if file.compression != "none" {
        return Err(refused(format!("its file is compressed with {}", file.compression)));
    }
    if file.size > bytes_max {
        return Err(refused(format!("it has {} bytes, {bytes_max} are allowed", file.size)));
    }
    Ok(file)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(digit: char, published_at: &str, name: &str, state: &str) -> serde_json::Value {
        let uuid = "00000000-0000-4000-8000-00000000000".to_owned() + &digit.to_string();
        let file = json!({"sha1": "ab", "size": 10, "compression": "none"});
        json!({"v": 2, "uuid": uuid, "name": name, "state": state, "published_at": published_at,
               "files": [file]})
    }

    fn chosen(images: &[serde_json::Value]) -> Result<char, String> {
        let image = newest(&serde_json::to_vec(images).unwrap()).map_err(|e| e.to_string())?;
        Ok(image.uuid.chars().last().unwrap())
    }

    #[test]
    fn the_newest_active_image_of_the_name_is_chosen() {
        let mut images = vec![
            image('1', "2026-05-01T00:00:00Z", NAME, "active"),
            image('2', "2026-05-03T00:00:00.123Z", NAME, "active"),
            image('3', "2026-05-02T00:00:00Z", NAME, "active"),
            image('4', "2026-06-01T00:00:00Z", "dockerlogger2", "active"),
            image('5', "2026-06-01T00:00:00Z", NAME, "disabled"),
            image('6', "not a time", NAME, "active"),
        ];
        assert_eq!(chosen(&images), Ok('2'));
        images[1]["uuid"] = json!("../../secret");
        assert_eq!(chosen(&images), Ok('3'));
        let none = "the image API has no active image named dockerlogger";
        assert_eq!(chosen(&images[3..]), Err(none.to_owned()));
        assert!(newest(b"{}").is_err());
    }

    #[test]
    fn an_image_has_one_plain_file_within_the_limit() {
        let check = |files: serde_json::Value| {
            let mut image = image('1', "2026-05-01T00:00:00Z", NAME, "active");
            image["files"] = files;
            let image: Image = serde_json::from_value(image).unwrap();
            usable_file(&image, 10).map(|file| file.size).map_err(|e| e.to_string())
        };
        let file = |size: u64, compression: &str| json!({"sha1": "", "size": size, "compression": compression});
        assert_eq!(check(json!([file(10, "none")])), Ok(10));
        let cases = [
            (json!([]), "it has 0 files, expected 1"),
            (json!([file(1, "gzip")]), "its file is compressed with gzip"),
            (json!([file(11, "none")]), "it has 11 bytes, 10 are allowed"),
        ];
        for (files, problem) in cases {
            assert!(check(files).unwrap_err().ends_with(problem), "{problem}");
        }
    }
}
