// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `release build`: from a logger binary to an artifact and its description.
//!
//! The artifact is a function of the binary and the compression level alone (fixed
//! owner, time and mode), so that two builds of the same binary have the same digest.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use dockerlogger_manifest::Artifact;
use dockerlogger_manifest::ArtifactFile;
use dockerlogger_manifest::DriverSpec;
use dockerlogger_manifest::Extra;
use dockerlogger_manifest::Release;
use dockerlogger_manifest::Target;
use dockerlogger_manifest::Version;
use dockerlogger_manifest::limits;
use jiff::Timestamp;

use crate::cli::BuildOptions;
use crate::files;
use crate::files::FileError;
use crate::package::ask::AskError;

mod ask;

/// The file in the release directory that describes the release.
pub(crate) const DESCRIPTION: &str = "release.json";
/// The largest logger binary that is packed, in bytes; what a node takes as well.
const MAX_LOGGER_BYTES: u64 = limits::ARTIFACT_BYTES_MAX;
/// The largest description or driver list, in bytes; what a node takes of the former as well.
pub(crate) const MAX_DESCRIPTION_BYTES: u64 = limits::DOCUMENT_BYTES_MAX;
/// The name and mode of the one file in the artifact.
const MEMBER: &str = "logger";
const MEMBER_MODE: u32 = 0o555;
/// Base-2 logarithm of the window in bytes: 8 MiB, the most a node grants.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What `build` made.
#[derive(Debug)]
pub(crate) struct Built {
    /// The description as it is now on disk.
    pub(crate) release: Release,
    /// The platform that was added.
    pub(crate) target: Target,
    /// The artifact of that platform.
    pub(crate) artifact: PathBuf,
}

/// A release could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The binary does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The binary cannot be asked here.
    #[error(
        "{target} is not the platform of this machine ({}), so the logger cannot be asked: \
         --drivers and --version are needed",
        Target::of_this_build()
    )]
    Foreign {
        /// The platform the binary is for.
        target: Target,
    },
    /// In an lx zone the platform would run it as something else.
    #[error(
        "{} is not an ELF file for OSABI 6, Solaris, so that an lx zone would run it as a program of \
         Linux; on illumos, `elfedit -e 'ehdr:ei_osabi ELFOSABI_SOLARIS' FILE` mends that",
        path.display()
    )]
    Abi {
        /// The logger.
        path: PathBuf,
    },
    /// The command line and the binary disagree.
    #[error("--version says {given}, the logger says {own}")]
    Version {
        /// From the command line.
        given: Version,
        /// From the binary.
        own: Version,
    },
    /// The command line and the binary disagree.
    #[error("{} is not what the logger says of its drivers", path.display())]
    Drivers {
        /// The file of the command line.
        path: PathBuf,
    },
    /// A JSON file is not what it should be.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// The directory holds another release.
    #[error("{} describes {what} {there}, not {here}: choose another directory", path.display())]
    OtherRelease {
        /// The description.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the description says.
        there: String,
        /// What this build would say.
        here: String,
    },
    /// The two platforms of a release would support different drivers.
    #[error("the drivers of this logger are not those {} lists for the other platforms", path.display())]
    OtherDrivers {
        /// The description.
        path: PathBuf,
    },
    /// Compression failed.
    #[error("failed to pack {}", path.display())]
    Pack {
        /// The logger.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Packs the logger and adds it to the description in the output directory.
pub(crate) async fn build(options: &BuildOptions, now: Timestamp) -> Result<Built, BuildError> {
    let logger = files::read(&options.logger, MAX_LOGGER_BYTES)?;
    if options.target.as_str().split('-').any(|part| part == "illumos") && !is_native(&logger) {
        return Err(BuildError::Abi { path: options.logger.clone() });
    }
    let (version, drivers) = identity(options).await?;
    let packed = pack(&logger, options.level)
        .map_err(|source| BuildError::Pack { path: options.logger.clone(), source })?;
    let artifact = Artifact {
        name: Artifact::file_name(&version, &options.target),
        size: length(&packed),
        sha256: files::digest(&packed),
        files: vec![ArtifactFile {
            path: MEMBER.to_owned(),
            size: length(&logger),
            sha256: files::digest(&logger),
            mode: MEMBER_MODE,
            extra: Extra::new(),
        }],
        extra: Extra::new(),
    };
    let mut release = Release {
        format: Release::FORMAT,
        version,
        commit: options.commit.clone(),
        built_at: options.built_at.unwrap_or(whole_second(now)).to_string(),
        drivers,
        targets: [(options.target.clone(), artifact.clone())].into(),
        extra: Extra::new(),
    };
    let description = options.out.join(DESCRIPTION);
    if let Some(bytes) = files::read_if_present(&description, MAX_DESCRIPTION_BYTES)? {
        let existing = serde_json::from_slice(&bytes)
            .map_err(|source| BuildError::Parse { path: description.clone(), source })?;
        release = joined(existing, release, &description)?;
    }
    files::create_dir(&options.out)?;
    let path = options.out.join(&artifact.name);
    files::replace(&path, &packed)?;
    files::replace(&description, &to_json(&release))?;
    Ok(Built { release, target: options.target.clone(), artifact: path })
}

/// Version and drivers: from the binary where it runs, and what the command
/// line says has to agree with it; else from the command line.
async fn identity(options: &BuildOptions) -> Result<(Version, Vec<DriverSpec>), BuildError> {
    let listed = match &options.drivers {
        None => None,
        Some(path) => {
            let bytes = files::read(path, MAX_DESCRIPTION_BYTES)?;
            let parsed = serde_json::from_slice::<Vec<DriverSpec>>(&bytes)
                .map_err(|source| BuildError::Parse { path: path.clone(), source })?;
            Some((path, parsed))
        }
    };
    if !runs_here(&options.target) {
        return match (options.version.clone(), listed) {
            (Some(version), Some((_, drivers))) => Ok((version, drivers)),
            _ => Err(BuildError::Foreign { target: options.target.clone() }),
        };
    }
    let own = ask::version(&options.logger).await?;
    let drivers = ask::drivers(&options.logger).await?;
    if let Some(given) = options.version.clone().filter(|given| *given != own) {
        return Err(BuildError::Version { given, own });
    }
    match listed {
        Some((path, listed)) if listed != drivers => {
            Err(BuildError::Drivers { path: path.clone() })
        }
        _ => Ok((own, drivers)),
    }
}

/// Whether illumos runs a binary as its own in a zone that has another system's programs:
/// by the byte `EI_OSABI` of its header.
fn is_native(logger: &[u8]) -> bool {
    logger.starts_with(b"\x7fELF") && logger.get(7) == Some(&6)
}

/// Whether binaries for this platform can be started on this machine. The C
/// library makes no difference: a musl binary runs beside glibc.
fn runs_here(target: &Target) -> bool {
    let mut parts = target.as_str().split('-');
    parts.next() == Some(std::env::consts::ARCH) && parts.any(|part| part == std::env::consts::OS)
}

/// The existing description with the platform of `new` in it.
fn joined(mut existing: Release, new: Release, path: &Path) -> Result<Release, BuildError> {
    for (what, there, here) in [
        ("version", existing.version.to_string(), new.version.to_string()),
        ("commit", existing.commit.clone(), new.commit),
    ] {
        if there != here {
            return Err(BuildError::OtherRelease { path: path.to_owned(), what, there, here });
        }
    }
    let others = existing.targets.keys().any(|target| !new.targets.contains_key(target));
    if existing.drivers != new.drivers {
        if others {
            return Err(BuildError::OtherDrivers { path: path.to_owned() });
        }
        existing.drivers = new.drivers;
    }
    existing.targets.extend(new.targets);
    Ok(existing)
}

/// A tar with the logger in it, zstd-compressed; a function of the bytes
/// and the level alone.
fn pack(logger: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path(MEMBER)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(length(logger));
    header.set_mode(MEMBER_MODE);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, logger)?;
    let plain = builder.into_inner()?;

    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(length(&plain)))?;
    encoder.write_all(&plain)?;
    encoder.finish()
}

fn to_json(release: &Release) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "every map of a release has text keys")]
    let mut bytes = serde_json::to_vec_pretty(release).expect("a release can be written as JSON");
    bytes.push(b'\n');
    bytes
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The digest an artifact has when it is packed from this logger.
#[cfg(test)]
fn packed_digest(logger: &[u8]) -> dockerlogger_manifest::Digest {
    files::digest(&pack(logger, 19).unwrap())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_artifact() {
        let logger = b"\x7fELF and so on".repeat(10_000);
        assert_eq!(packed_digest(&logger), packed_digest(&logger));
        assert_ne!(packed_digest(&logger), packed_digest(b"other"));
    }

    #[test]
    fn the_artifact_holds_one_file_owned_by_root() {
        let packed = pack(b"binary", 19).unwrap();
        let mut archive = tar::Archive::new(zstd::Decoder::new(&packed[..]).unwrap());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!(header.entry_type(), tar::EntryType::Regular);
        assert_eq!(header.mode().unwrap(), 0o555);
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
            (0, 0, 0)
        );
        assert_eq!(entry.path().unwrap().to_str(), Some("logger"));
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"binary");
        drop(entry);
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_node_needs_no_more_than_eight_megabytes_to_unpack() {
        let packed = pack(&vec![7; 20 << 20], 19).unwrap();
        let mut decoder = zstd::Decoder::new(&packed[..]).unwrap();
        decoder.window_log_max(ZSTD_WINDOW_LOG).unwrap();
        assert_eq!(io::copy(&mut decoder, &mut io::sink()).unwrap(), (20 << 20) + 1536);
    }

    #[test]
    fn only_binaries_of_this_machine_are_run() {
        assert!(runs_here(&Target::of_this_build()));
        let musl = format!("{}-unknown-{}-musl", std::env::consts::ARCH, std::env::consts::OS);
        assert!(runs_here(&musl.parse().unwrap()));
        for foreign in ["x86_64-unknown-none", "riscv64gc-unknown-linux-gnu", "x86_64"] {
            assert!(!runs_here(&foreign.parse().unwrap()), "{foreign}");
        }
    }
}
