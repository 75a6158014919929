// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! An ext4 in an image file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn output(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(name).args(arguments).output();
    let output = output.map_err(|e| format!("{name} does not start: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} {}: {}", arguments.join(" "), said.trim()))
}

/// An ext4 image, mounted or not.
pub(super) struct Medium {
    image: PathBuf,
    base: PathBuf,
    pub(super) mount: PathBuf,
    mounted: bool,
    restored: usize,
}

impl Medium {
    /// A fresh file system; the error says why there can be none here.
    pub(super) fn new(scratch: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount".to_owned());
        }
        let place = |name: &str| scratch.join(name);
        let mut medium = Self {
            image: place("image"),
            base: place("base"),
            mount: place("mount"),
            mounted: false,
            restored: 0,
        };
        fs::create_dir(&medium.mount).map_err(|e| e.to_string())?;
        let image = fs::File::create(&medium.image).map_err(|e| e.to_string())?;
        image.set_len(8 << 20).map_err(|e| e.to_string())?;
        let image = medium.image.to_str().unwrap();
        output("mkfs.ext4", &["-q", "-F", "-b", "1024", "-J", "size=1", image])?;
        medium.mount()?;
        Ok(medium)
    }

    fn mount(&mut self) -> Result<(), String> {
        let (image, mount) = (self.image.to_str().unwrap(), self.mount.to_str().unwrap());
        output("mount", &["-t", "ext4", "-o", "loop", image, mount])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) {
        // A child of another test, forked and not yet exec'd, holds what is open here.
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(problem) = output("umount", &[self.mount.to_str().unwrap()]) {
            assert!(Instant::now() < deadline, "{problem}");
            std::thread::yield_now();
        }
        // Who has a copy of our mounts, in a namespace made meanwhile, keeps the file system alive, and mounting it again
        // would give us the dead one.
        let image = self.image.to_str().unwrap();
        while !output("losetup", &["-j", image]).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "a loop device stays on {image}");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.mounted = false;
    }

    pub(super) fn remount(&mut self) {
        self.unmount();
        self.mount().unwrap();
    }

    /// What is on it now is what [`Medium::restore`] brings back.
    pub(super) fn keep(&mut self) {
        self.unmount();
        fs::copy(&self.image, &self.base).unwrap();
        self.mount().unwrap();
    }

    pub(super) fn restore(&mut self) {
        self.unmount();
        // A file of its own: a loop device may still remember the old one.
        fs::remove_file(&self.image).unwrap();
        self.restored += 1;
        self.image.set_file_name(format!("image-{}", self.restored));
        fs::copy(&self.base, &self.image).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if self.mounted {
            // Too late to do anything about it.
            let _ = output("umount", &["-l", self.mount.to_str().unwrap()]);
        }
    }
}
