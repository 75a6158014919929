// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;

fn path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

fn done(effects: &[Effect]) -> Disk {
    let mut disk = Disk::new();
    for effect in effects {
        disk.apply(effect).unwrap();
    }
    disk
}

fn seen(disk: &Disk, cut: Cut) -> (Vec<String>, Option<Vec<u8>>) {
    let after = disk.cut(cut);
    (after.list(Path::new("/")).unwrap(), after.read(Path::new("/b")).ok())
}

#[test]
fn a_name_without_its_bytes_and_bytes_without_their_name() {
    let written = [Effect::Create(path("/b")), Effect::Write(path("/b"), b"four".to_vec())];
    let mut disk = done(&written);
    disk.apply(&Effect::SyncDir(path("/"))).unwrap();
    assert_eq!(seen(&disk, Cut::Nothing), (vec!["b".to_owned()], Some(Vec::new())));
    let outcomes: std::collections::BTreeSet<_> =
        (0..64).map(|seed| seen(&disk, Cut::Some(seed)).1.unwrap()).collect();
    let some: [&[u8]; 7] = [b"", b"\0\0\0\0", b"f", b"fo", b"fou", b"four", b"four"];
    assert_eq!(outcomes, some.map(<[u8]>::to_vec).into());

    let mut disk = done(&written);
    disk.apply(&Effect::SyncFile(path("/b"))).unwrap();
    assert_eq!(seen(&disk, Cut::Nothing), (vec![], None));
    assert_eq!(seen(&disk, Cut::Names), (vec!["b".to_owned()], Some(b"four".to_vec())));
}

#[test]
fn a_rename_is_durable_by_the_directory_it_goes_to() {
    let mut disk = done(&[
        Effect::MakeDir(path("/d"), 0o755),
        Effect::Create(path("/d/a")),
        Effect::SyncDir(path("/d")),
        Effect::SyncDir(path("/")),
        Effect::Rename(path("/d/a"), path("/b")),
    ]);
    disk.apply(&Effect::SyncDir(path("/d"))).unwrap();
    assert_eq!(seen(&disk, Cut::Nothing).0, ["d"]);
    disk.apply(&Effect::SyncDir(path("/"))).unwrap();
    assert_eq!(seen(&disk, Cut::Nothing).0, ["b", "d"]);
    assert_eq!(disk.cut(Cut::Nothing).list(Path::new("/d")).unwrap(), [""; 0]);
}

#[test]
fn a_failed_fsync_loses_the_bytes_for_good() {
    let mut disk = done(&[Effect::Create(path("/b")), Effect::Write(path("/b"), b"four".to_vec())]);
    disk.apply(&Effect::SyncDir(path("/"))).unwrap();
    disk.fail(&Effect::SyncFile(path("/b")));
    disk.apply(&Effect::SyncFile(path("/b"))).unwrap();
    assert_eq!(disk.read(Path::new("/b")).unwrap(), b"four");
    assert_eq!(seen(&disk, Cut::Nothing).1, Some(Vec::new()));
}
