//! What goes in comes out, by whatever dictionary.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// Objects of a kind: much in common, other words than another kind's, and a little of each one's own.
fn objects(n: usize, kind: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(kind);
    let words: Vec<String> = (0..24).map(|_| format!("word{:x}", random.u64(..))).collect();
    let object = |number: usize| {
        let mut fields = String::new();
        for pair in words.chunks(2) {
            fields.push_str(&format!(r#","{}":"{}-{}""#, pair[0], pair[1], random.u32(..100)));
        }
        format!(r#"{{"metadata":{{"name":"widget-{number}","uid":"{:x}"}}{fields}}}"#, random.u64(..))
    };
    (0..n).map(object).collect()
}

fn trained() -> &'static Codec {
    static TRAINED: OnceLock<Codec> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let codec = Codec::default();
        codec.adopt(Some(train(&objects(500, 7))), 500);
        codec
    })
}

fn train(objects: &[String]) -> Generation {
    let mut training = Training::new();
    objects.iter().for_each(|object| training.add(object.as_bytes()));
    training.run(None).expect("zstd has memory")
}

fn round(codec: &Codec, json: &str) -> usize {
    let generation = codec.generation().expect("trained");
    let encoded = codec.pack(&generation, json.as_bytes());
    let encoded = encoded.unwrap_or_else(|| Encoded::Plain(json.as_bytes().into()));
    let mut buffer = b"what was there before".to_vec();
    codec.read(&encoded, &mut buffer).expect("it is read back");
    assert_eq!(buffer, json.as_bytes());
    encoded.len()
}

#[test]
fn a_dictionary_of_the_kind_saves_most_of_it() {
    let (own, codec) = (objects(4000, 1), Codec::default());
    codec.adopt(Some(train(&own)), own.len());
    let (mut bytes, mut packed) = (0, 0);
    for object in objects(1000, 1) {
        bytes += object.len();
        packed += round(&codec, &object);
    }
    assert!(packed * 4 < bytes, "{packed} of {bytes}");
    assert!(codec.dictionary_bytes() < 256 << 10, "{}", codec.dictionary_bytes());
}

#[test]
fn two_generations_are_alive_at_most() {
    let codec = Codec::default();
    codec.adopt(Some(train(&objects(1000, 1))), 1000);
    let first =
        codec.generation().and_then(|it| codec.pack(&it, objects(1, 1)[0].as_bytes())).expect("packed");
    codec.adopt(Some(train(&objects(1000, 2))), 1000);
    let drift = || {
        for object in objects(10_000, 3) {
            codec.generation().and_then(|it| codec.pack(&it, object.as_bytes()));
        }
    };
    drift();
    assert!(!codec.wants_training(), "the first generation is still needed");
    assert!(codec.is_outgrown(4000) && !codec.wants_better(4000), "and so for a better one");
    let mut json = Vec::new();
    codec.read(&first, &mut json).expect("it is still read");
    assert_eq!(json, objects(1, 1)[0].as_bytes());
    drop(first);
    drift();
    assert!(codec.wants_training(), "the objects are others, and the first generation is gone");
    assert!(!codec.wants_training() && !codec.wants_better(4000), "once at a time");
    codec.adopt(None, 1000);
    assert!(!codec.wants_better(3999) && codec.wants_better(4000));
}

#[test]
fn a_kind_that_stays_as_it_is_is_trained_once() {
    let codec = Codec::default();
    codec.adopt(Some(train(&objects(4000, 1))), 4000);
    for object in objects(10_000, 1) {
        codec.generation().and_then(|it| codec.pack(&it, object.as_bytes()));
    }
    assert!(!codec.wants_training());
}

#[test]
fn few_bytes_are_left_as_they_are() {
    let codec = Codec::default();
    let part = Encoded::Plain(vec![b'x'; 1 << 20].into());
    for _ in 0..3 {
        codec.count(&part);
        assert!(!codec.wants_training());
    }
    codec.count(&part);
    assert!(codec.wants_training());
    codec.adopt(None, 0);
    assert!(!codec.wants_training(), "what failed waits until the kind is twice as large");
    (0..4).for_each(|_| codec.count(&part));
    assert!(codec.wants_training());
}

#[test]
fn what_cannot_be_packed_stays_as_it_is() {
    let codec = Codec::default();
    codec.adopt(Some(train(&objects(1, 1))), 1);
    let mut noise = vec![0; 1000];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let generation = codec.generation().expect("trained");
    assert!(codec.pack(&generation, &noise).is_none());
    assert!(codec.pack(&generation, &[b'x'; 1000]).is_some());
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let generation = trained().generation().expect("trained");
        if let Some(packed) = trained().pack(&generation, &bytes) {
            let mut buffer = Vec::new();
            trained().read(&packed, &mut buffer).expect("it is read back");
            prop_assert_eq!(buffer, bytes);
        }
    }

    #[test]
    fn a_broken_frame_neither_panics_nor_takes_all_memory(cut in 1..200usize, at: usize, flip in 1..255u8) {
        let generation = trained().generation().expect("trained");
        let json = &objects(1, 7)[0];
        let Some(Encoded::Packed(frame, dictionary)) = trained().pack(&generation, json.as_bytes()) else {
            return Err(TestCaseError::fail("not packed"));
        };
        let mut frame = frame.into_vec();
        let at = at % frame.len();
        frame[at] ^= flip;
        frame.truncate(cut);
        // Without a checksum it may read as something else.
        _ = dictionary.unpack(&frame, &mut Vec::new());
    }
}
