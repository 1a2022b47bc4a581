//! What the generated Pods are: how large, and how well they compress.

use anyhow::{Result, anyhow};
use zstd_safe::{CCtx, compress_bound, get_error_name, train_from_buffer};

use super::row::{Row, Unit};
use crate::{pods::Pods, server::SEED};

/// As many as are looked at, and how many of them a dictionary is made from.
const SAMPLE: usize = 2_000;
const TRAINED: usize = 500;
const DICTIONARY: usize = 16 << 10;
const LEVEL: i32 = 1;

pub(super) fn rows() -> Result<Vec<Row>> {
    let pods = Pods::new(SEED, 100_000);
    let (mut whole, mut texts) = (0, Vec::new());
    for number in 0..SAMPLE {
        // A prime step goes over all workloads.
        let mut pod = pods.pod(number * 7919 % 100_000, number + 1);
        whole += pod.to_string().len();
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        texts.push(pod.to_string());
    }
    let (samples, rest) = texts.split_at(TRAINED);
    let mut dictionary = vec![0; DICTIONARY];
    let sizes: Vec<usize> = samples.iter().map(String::len).collect();
    let size = train_from_buffer(&mut dictionary[..], samples.concat().as_bytes(), &sizes).map_err(named)?;
    dictionary.truncate(size);
    let mut context = CCtx::try_create().ok_or_else(|| anyhow!("no memory"))?;
    let mut compressed = |text: &str, dictionary: &[u8]| -> Result<usize> {
        let mut room = vec![0; compress_bound(text.len())];
        context.compress_using_dict(&mut room[..], text.as_bytes(), dictionary, LEVEL).map_err(named)
    };
    let mean =
        |sizes: &mut dyn Iterator<Item = usize>, count: usize| sizes.sum::<usize>() as f64 / count as f64;
    let mut sizes = Vec::new();
    for text in rest {
        sizes.push((text.len(), compressed(text, &[])?, compressed(text, &dictionary)?));
    }
    let row = |measure: &str, bytes| Row::new(format!("a generated Pod, {measure}"), Unit::Bytes, bytes);
    Ok(vec![
        row("JSON with managedFields", whole as f64 / SAMPLE as f64),
        row("JSON without", mean(&mut sizes.iter().map(|size| size.0), rest.len())),
        row("without, zstd 1", mean(&mut sizes.iter().map(|size| size.1), rest.len())),
        row(
            "without, zstd 1 with a dictionary of 16 KiB",
            mean(&mut sizes.iter().map(|size| size.2), rest.len()),
        ),
    ])
}

fn named(code: usize) -> anyhow::Error {
    anyhow!("zstd: {}", get_error_name(code))
}
