//! What another program took for the same steps: `peers.csv`, which the campaign of an accelerator leaves beside the records.

use std::path::Path;

use results::ScalingRow;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Its name in a folder of records.
const FILE: &str = "peers.csv";

/// A network in one configuration of the other program. Cells are empty where it did not run, and `note` says why.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerRow {
    network: String,
    device: String,
    batch: Option<u32>,
    dtype: String,
    image: String,
    configuration: String,
    step_seconds_median: Option<f64>,
    #[serde(rename = "step_seconds_min")]
    _step_seconds_min: Option<f64>,
    #[serde(rename = "used_bytes")]
    _used_bytes: Option<u64>,
    #[serde(rename = "reserved_bytes")]
    _reserved_bytes: Option<u64>,
    note: String,
}

/// All that were measured.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<PeerRow>);

/// The best configuration beside one of our rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best {
    /// How many times as many samples a second ours goes through.
    pub(super) times: f64,
    pub(super) configuration: String,
}

impl Peers {
    /// Those of a folder; none where it has no such file.
    ///
    /// # Errors
    /// When the file can't be read, or a line is none of it.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Self::parse(&text).map_err(|error| Error::Document {
            place: path.display().to_string(),
            message: error.to_string(),
        })
    }

    fn parse(text: &str) -> csv::Result<Self> {
        csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect::<csv::Result<_>>().map(Self)
    }

    /// The fastest configuration on the same device, batch, image and number type, by medians.
    ///
    /// # Errors
    /// With the reason why there is none.
    pub(super) fn best(&self, row: &ScalingRow) -> std::result::Result<Best, String> {
        let ours = row.step_seconds_median.ok_or("no time of ours")?;
        let of_network =
            || self.0.iter().filter(|peer| peer.network == row.model && peer.device == row.device);
        let same = |peer: &&PeerRow| {
            peer.batch == Some(row.batch) && peer.image == row.image && peer.dtype == row.dtype
        };
        let timed = of_network().filter(same).filter_map(|peer| Some((peer.step_seconds_median?, peer)));
        let best = timed.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map(|(seconds, peer)| Best { times: seconds / ours, configuration: peer.configuration.clone() })
            .ok_or_else(|| {
                let note = of_network().map(|peer| peer.note.as_str()).find(|note| !note.is_empty());
                note.map_or("no peer was measured beside it".to_owned(), |note| format!("no peer: {note}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "network,device,batch,dtype,image,configuration,step_seconds_median,step_seconds_min,\
                        used_bytes,reserved_bytes,note\n";

    fn row() -> ScalingRow {
        ScalingRow {
            model: "net".to_owned(),
            device: "cuda:0".to_owned(),
            batch: 64,
            dtype: "bf16".to_owned(),
            image: "3x32x32".to_owned(),
            step_seconds_median: Some(0.5),
            ..ScalingRow::default()
        }
    }

    fn best(lines: &str) -> std::result::Result<Best, String> {
        Peers::parse(&format!("{HEAD}{lines}")).unwrap().best(&row())
    }

    #[test]
    fn the_fastest_of_the_same_kind_is_the_best() {
        let lines = "net,cuda:0,64,bf16,3x32x32,nchw,1.0,0.9,1,2,\n\
                     net,cuda:0,64,bf16,3x32x32,channels-last,0.75,0.7,1,2,\n\
                     net,cuda:0,64,f32,3x32x32,another type,0.1,0.1,1,2,\n\
                     net,cuda:0,32,bf16,3x32x32,another batch,0.1,0.1,1,2,\n\
                     net,cuda:0,64,bf16,3x64x64,another image,0.1,0.1,1,2,\n\
                     net,cpu,64,bf16,3x32x32,another device,0.1,0.1,,,\n\
                     other,cuda:0,64,bf16,3x32x32,another network,0.1,0.1,1,2,\n\
                     net,cuda:0,64,bf16,3x32x32,\"compiled, nchw\",,,,,CUDA out of memory\n";
        assert_eq!(best(lines), Ok(Best { times: 1.5, configuration: "channels-last".to_owned() }));
    }

    #[test]
    fn what_was_not_measured_has_a_reason() {
        assert_eq!(best(""), Err("no peer was measured beside it".to_owned()));
        let lines = "net,cuda:0,,,,,,,,,no PyTorch with SpikingJelly\n";
        assert_eq!(best(lines), Err("no peer: no PyTorch with SpikingJelly".to_owned()));
    }

    #[test]
    fn a_file_of_another_form_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Peers::of(folder.path()).unwrap().0.is_empty());
        std::fs::write(folder.path().join(FILE), "network,seconds\nnet,1\n").unwrap();
        assert!(Peers::of(folder.path()).unwrap_err().to_string().contains(FILE));
    }
}
