//! Other people's code judges ours: `signed_note` our keys and checkpoints, `tlog_tiles` our tree,
//! proofs and tiles.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;

use common::*;
use ledger::Ledger;
use ledger::tlog::{Resource, consistency_from, inclusion_from};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, HashReader, Tile};

/// The stranger's own copy of the tree, built from the entries alone.
struct Copy(Vec<Hash>);

impl HashReader for Copy {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

fn copy(entries: &[Vec<u8>]) -> Copy {
    let mut copy = Copy(Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let more = tlog_tiles::stored_hashes(index as u64, entry, &copy).unwrap();
        copy.0.extend(more);
    }
    copy
}

/// The stranger's reading of a checkpoint: size and root.
fn read_note(ledger: &Ledger, note: &str) -> (u64, Hash) {
    let verifier = StandardVerifier::new(&ledger.verify_key().to_string()).unwrap();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    let (good, unknown) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((good.len(), unknown.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.extension()), (ORIGIN, ""));
    (checkpoint.size(), *checkpoint.hash())
}

/// The path in a proof, read by its lines.
fn path(proof: &str) -> Vec<Hash> {
    let head = proof.split("\n\n").next().unwrap();
    head.lines().skip(3).map(|line| Hash::parse_hash(line).unwrap()).collect()
}

#[tokio::test]
async fn strangers_agree_with_our_keys_checkpoints_roots_proofs_and_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mut notes = vec![ledger.checkpoint()];
    let mut proofs = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..600_u64 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let receipt = add_note(&ledger, key((number % 7) as u8)).await.unwrap();
            (receipt.index(), receipt.proof(), receipt.checkpoint().to_owned())
        });
        // Groups of different sizes.
        if number % 37 == 5 || number % 11 == 3 {
            while let Some(done) = tasks.join_next().await {
                let (index, proof, note) = done.unwrap();
                proofs.push((index, proof));
                notes.push(note);
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        let (index, proof, note) = done.unwrap();
        proofs.push((index, proof));
        notes.push(note);
    }
    let entries: Vec<Vec<u8>> = rusqlite::Connection::open(folder.path().join("store.sqlite"))
        .unwrap()
        .prepare("SELECT entry FROM ledger_entry ORDER BY idx")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let copy = copy(&entries);

    notes.sort();
    notes.dedup();
    let mut heads: Vec<(u64, Hash)> = notes.iter().map(|note| read_note(&ledger, note)).collect();
    heads.sort_by_key(|(size, _)| *size);
    heads.dedup();
    for (size, root) in &heads {
        assert_eq!(tlog_tiles::tree_hash(*size, &copy).unwrap(), *root);
    }
    let mut known: HashMap<&str, (u64, Hash)> = HashMap::new();
    for (index, proof) in &proofs {
        let note = proof.split_once("\n\n").unwrap().1;
        let (size, root) = *known.entry(note).or_insert_with(|| read_note(&ledger, note));
        let path = path(proof);
        assert_eq!(tlog_tiles::prove_record(size, *index, &copy).unwrap(), path);
        let leaf = tlog_tiles::record_hash(&entries[*index as usize]);
        tlog_tiles::check_record(&path, size, root, *index, leaf).unwrap();
    }
    for index in [0, 254, 255, 256, 257, 599] {
        let proof = ledger.prove(index).await.unwrap();
        assert_eq!(path(&proof), tlog_tiles::prove_record(600, index, &copy).unwrap());
    }
    let (size, root) = *heads.last().unwrap();
    assert_eq!(size, 600);
    for (old, old_root) in heads.iter().filter(|(old, _)| (1..size).contains(old)) {
        let path = ledger.consistency(*old, size).await.unwrap();
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        assert_eq!(path, tlog_tiles::prove_tree(size, *old, &copy).unwrap());
        tlog_tiles::check_tree(&path, size, root, *old, *old_root).unwrap();
    }
    for tile in Tile::new_tiles(8, 0, size) {
        let (level, index) = (u32::from(tile.level()), tile.level_index());
        let ours = ledger.tile(level, index, u64::from(tile.width())).await.unwrap();
        assert_eq!(ours, tile.read_data(&copy).unwrap(), "{}", tile.path());
    } // What anybody may read: their names for our files, and their reading of what is in them.
    for tile in Tile::new_tiles(8, 0, size) {
        // Their names begin with the height of a tile, which tlog-tiles has fixed at 8.
        let name = tile.path().replacen("tile/8/", "tile/", 1);
        let resource: Resource = name.parse().unwrap();
        assert_eq!(resource.to_string(), name);
        assert_eq!(ledger.resource(resource).await.unwrap(), tile.read_data(&copy).unwrap());
    }
    let mut read = Vec::new();
    for index in 0..3 {
        let resource = Resource::entries(index, size).unwrap();
        let octets = ledger.resource(resource).await.unwrap();
        let mut rest = octets.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            read.push(entry.to_vec());
            rest = after;
        }
    }
    assert_eq!(read, entries);
    let public = fake::Public(&ledger);
    let checkpoint = ledger.verify_key().verify(&ledger.checkpoint()).unwrap();
    for index in [0, 255, 256, 511, 599] {
        let path = inclusion_from(&public, index, &checkpoint).await.unwrap();
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        assert_eq!(path, tlog_tiles::prove_record(size, index, &copy).unwrap());
    }
    for old in [1, 255, 256, 300, 512, 599, 600] {
        let path = consistency_from(&public, old, &checkpoint).await.unwrap();
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        assert_eq!(path, tlog_tiles::prove_tree(size, old, &copy).unwrap());
    }
}
