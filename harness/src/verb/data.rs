//! `data`: is a set whole, what does it look like, pack it, write small trees, where does each come from.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use datasets::check::{Report, Sheet, SplitReport, Twin, sheet, verify};
use datasets::synth::event_trees::{EventTree, TREES};
use datasets::synth::images::{Tree, write};
use datasets::{Dataset, DatasetEntry, FrameEntry, Mirror, Protocol, Request, Split, convert};

use super::data_rate;
use crate::error::{Error, Result};
use crate::shelf::{self, RECIPES};
use crate::source::{Entry, Source};
use crate::suggest::Unknown;

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Read every sample: counts, statistics, sums, twins, samples in both splits, and recipes that would flip classes;
    /// exit 1 where a sample is damaged or missing, leaks, or the manifest is not the known one.
    Verify {
        #[command(flatten)]
        set: Set,
    },
    /// Draw the first samples of each class as a PNG.
    Show {
        #[command(flatten)]
        set: Set,
        /// File to write.
        #[arg(long, value_name = "FILE.png")]
        to: PathBuf,
        /// Draw test samples.
        #[arg(long)]
        test: bool,
        /// Classes, a row each.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = crate::cli::at_least_one)]
        classes: usize,
        /// Samples of a class.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = crate::cli::at_least_one)]
        columns: usize,
        /// Side of an image on the sheet, in pixels.
        #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = crate::cli::at_least_one)]
        side: usize,
    },
    /// Pack a set into train.shard and test.shard, which --data reads in place of the set's own files.
    ///
    /// Of events the recordings are packed that --protocol takes: they serve any T, and all protocols that take the same.
    ///
    /// A run that is ended at any moment leaves nothing that is used; the same command goes on, and the hashes that it
    /// prints are those of a run that was not ended.
    Convert {
        #[command(flatten)]
        set: Set,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Write a small valid tree of a format, to try a reader on.
    Synth {
        /// Format: idx, cifar10-binary, cifar100-binary, imagenet-folders, imagenet-flat, imagenet-tars, imagenet-shards,
        /// n-mnist-bin, cifar10-dvs-aedat2, cifar10-dvs-npz, dvs128-gesture-aedat3.
        format: String,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make training batches as a recipe has them, and tell how many samples a second.
    Rate {
        #[command(flatten)]
        set: Set,
        /// Recipe id, or a recipe's file.
        #[arg(long, value_name = "NAME")]
        recipe: String,
        /// Samples in a batch.
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = crate::cli::at_least_one)]
        batch: usize,
        /// Most batches that are made, of one epoch.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = crate::cli::at_least_one)]
        batches: usize,
    },
    /// Tell where each set comes from, its licence and its size.
    Help {
        /// Only this set.
        id: Option<String>,
    },
}

/// A set on the command line.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Data set id, as in `harness list datasets`.
    id: String,
    /// Folder of the set's files or of its shards.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take what is there for a part of the set, whatever its counts.
    #[arg(long, requires = "data")]
    part: bool,
    /// Named protocol of a set of events; the set's first where absent.
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
}

impl Set {
    /// How a frame set is asked for.
    fn request(&self, entry: &FrameEntry) -> Result<Request<'_>> {
        let protocol = self.protocol.as_deref();
        if let Some(name) = protocol.filter(|name| !entry.protocols.contains(name)) {
            let known = entry.protocols.iter().copied();
            return Err(Error::unknown(Unknown::new("protocol of this set", name, known)));
        }
        let steps = entry.steps_under(protocol);
        Ok(Request { folder: self.data.as_deref(), protocol, steps })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The set, of either kind.
    pub(super) fn source(&self) -> Result<Source> {
        match frames(&self.id)? {
            Some(entry) => {
                let set = entry.open(&self.request(entry)?).map_err(|source| fault(&self.id, source))?;
                Ok(Source::Frames(set))
            }
            None => self.open().map(Source::Images),
        }
    }

    fn open(&self) -> Result<Arc<dyn Dataset>> {
        if let Some(found) = &self.protocol {
            let rule = "left out of a set of images, whose files are read as they are";
            return Err(Error::value(format!("dataset {}: --protocol", self.id), rule, found));
        }
        match &self.data {
            Some(folder) if self.part => {
                find(&self.id)?;
                datasets::open_part(&self.id, folder).map_err(|source| fault(&self.id, source))
            }
            folder => (find(&self.id)?.open)(folder.as_deref()).map_err(|source| fault(&self.id, source)),
        }
    }
}

fn find(id: &str) -> Result<&'static DatasetEntry> {
    datasets::find(id).ok_or_else(|| {
        Error::unknown(Unknown::new("dataset of images", id, datasets::DATASETS.iter().map(|entry| entry.id)))
    })
}

/// The frame set of an id; `None` where it is a set of images.
///
/// # Errors
/// When it is neither.
fn frames(id: &str) -> Result<Option<&'static FrameEntry>> {
    Ok(match Entry::find(id)? {
        Entry::Frames(entry) => Some(entry),
        Entry::Images(_) => None,
    })
}

pub(super) fn fault(id: &str, source: datasets::DataError) -> Error {
    Error::Data { place: format!("dataset {id}"), source }
}

pub(crate) fn data(asked: &Data, output: &mut dyn Write) -> Result<ExitCode> {
    match asked {
        Data::Verify { set } => match frames(&set.id)? {
            Some(entry) => return super::data_frames::verified(entry, &set.request(entry)?, output),
            None => return verified(set, output),
        },
        Data::Show { set, to, test, classes, columns, side } => {
            let split = if *test { Split::Test } else { Split::Train };
            if let Some(entry) = frames(&set.id)? {
                let png = super::data_frames::sheet(entry, &set.request(entry)?, split, (*classes, *side))?;
                save(to, &png)?;
                let place = to.display();
                writeln!(
                    output,
                    "{place}: the frames of a sample of each class of {}, OFF red, ON blue",
                    set.id
                )?;
                return Ok(ExitCode::SUCCESS);
            }
            let asked = Sheet { split, classes: *classes, columns: *columns, side: *side };
            let png = sheet(set.open()?.as_ref(), asked).map_err(|source| fault(&set.id, source))?;
            save(to, &png)?;
            writeln!(
                output,
                "{}: a row for each of the first {classes} classes of {}",
                to.display(),
                set.id
            )?;
        }
        Data::Convert { set, to } => packed(set, to, output)?,
        Data::Synth { format, to } => {
            if let Some(tree) = TREES.iter().find(|tree| tree.name == format) {
                let EventTree { dataset, protocol, .. } = tree;
                tree.write(to).map_err(|source| fault(dataset, source))?;
                let place = to.display();
                writeln!(
                    output,
                    "{place}: a part of {dataset}; try `harness data verify {dataset} --data {place} --protocol {protocol}`"
                )?;
                return Ok(ExitCode::SUCCESS);
            }
            let of_images = Tree::ALL.iter().map(|(name, _)| *name);
            let names = || of_images.clone().chain(TREES.iter().map(|tree| tree.name));
            let tree = Tree::ALL.iter().find(|(name, _)| name == format).map(|(_, tree)| *tree);
            let tree = tree.ok_or_else(|| Error::unknown(Unknown::new("format", format, names())))?;
            write(tree, to).map_err(|source| fault(tree.dataset(), source))?;
            let (id, place) = (tree.dataset(), to.display());
            writeln!(
                output,
                "{place}: a part of {id}; try `harness data verify {id} --data {place} --part`"
            )?;
        }
        Data::Rate { set, recipe, batch, batches } => {
            let asked = data_rate::Asked { recipe, batch: *batch, batches: *batches };
            data_rate::rate(set, &asked, output)?;
        }
        Data::Help { id } => {
            let one = id.as_deref().map(Entry::find).transpose()?;
            let wanted = |own: &str| one.is_none_or(|one| one.id() == own);
            for entry in datasets::DATASETS.iter().filter(|entry| wanted(entry.id)) {
                help(entry, output)?;
            }
            for entry in datasets::FRAME_SETS.iter().filter(|entry| wanted(entry.id)) {
                super::data_frames::help(entry, output)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|source| {
        fault("sheet", datasets::DataError::Write { file: path.display().to_string(), source })
    })
}

fn verified(set: &Set, output: &mut dyn Write) -> Result<ExitCode> {
    let opened = set.open()?;
    let report = verify(opened.as_ref(), &|_, _, _| ());
    let card = opened.card();
    writeln!(output, "{} ({})", card.title, card.id)?;
    if let Some(reason) = card.stand_in {
        writeln!(output, "  stand-in: {reason}")?;
    }
    report.splits.iter().try_for_each(|split| tell(split, output))?;
    twins("in both splits (leakage)", &report.across, output)?;
    twins("twice within a split", &report.within, output)?;
    let known = match report.known {
        Some(true) => "the known one",
        Some(false) => "NOT the known one: other pictures, or another order",
        None => "none is known",
    };
    writeln!(output, "  manifest  {} ({known})", report.manifest)?;
    flips(opened.as_ref(), output)?;
    let sound = sound(&report, set.part);
    writeln!(output, "  {}", if sound { "sound" } else { "NOT SOUND" })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Of a part, counts and the manifest are its own.
fn sound(report: &Report, part: bool) -> bool {
    if !part {
        return report.is_sound();
    }
    report.across.is_empty() && report.splits.iter().all(|split| split.faulty == 0)
}

fn tell(split: &SplitReport, output: &mut dyn Write) -> Result<()> {
    let SplitReport { samples, expected, sides: [short, long], summed, faulty, .. } = split;
    let least = split.by_class.iter().min().copied().unwrap_or(0);
    let most = split.by_class.iter().max().copied().unwrap_or(0);
    let numbers =
        |values: &[f64]| values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ");
    writeln!(
        output,
        "  {:<9} {samples} of {expected} samples, {least} to {most} a class",
        split.split.name()
    )?;
    writeln!(
        output,
        "            sides {short} to {long}; mean {}; std {}",
        numbers(&split.mean),
        numbers(&split.std)
    )?;
    writeln!(output, "            {summed} packed sums checked; {faulty} samples with a fault")?;
    for line in &split.faults {
        writeln!(output, "            {line}")?;
    }
    Ok(())
}

fn twins(what: &str, twins: &[Twin], output: &mut dyn Write) -> Result<()> {
    writeln!(output, "  {} samples {what}", twins.len())?;
    for Twin { first, second, same_label } in twins.iter().take(10) {
        let labels = if *same_label { "same label" } else { "other label" };
        writeln!(output, "            {first} = {second} ({labels})")?;
    }
    Ok(())
}

/// The recipes that would mirror a set whose classes have sides.
fn flips(set: &dyn Dataset, output: &mut dyn Write) -> Result<()> {
    let card = set.card();
    let pairs = match card.mirror {
        Mirror::Swaps(pairs) => pairs,
        Mirror::Keeps => return Ok(writeln!(output, "  flips     keep every label")?),
        Mirror::Breaks => return Ok(writeln!(output, "  flips     make samples of no class: flip = false")?),
    };
    writeln!(
        output,
        "  flips     swap {} pairs of classes: flip = false, or swap-labels = true",
        pairs.len()
    )?;
    for file in RECIPES {
        let data: Protocol = shelf::recipe(file.id, None)?.data;
        if data.flip && !data.swap_labels {
            writeln!(output, "            recipe {} flips and is refused on this set", file.id)?;
        }
    }
    Ok(())
}

fn packed(set: &Set, to: &Path, output: &mut dyn Write) -> Result<()> {
    let done = match frames(&set.id)? {
        Some(entry) => entry.convert(&set.request(entry)?, to, &|_, _, _| ()),
        None => convert::convert(set.open()?.as_ref(), to, &|_, _, _| ()),
    };
    for split in done.map_err(|source| fault(&set.id, source))? {
        let made = if split.kept { "kept" } else { "written" };
        writeln!(
            output,
            "{} {made}: {} samples, {} bytes, manifest hash {}",
            split.path.display(),
            split.samples,
            split.bytes,
            split.hash
        )?;
    }
    Ok(())
}

fn help(entry: &DatasetEntry, output: &mut dyn Write) -> Result<()> {
    let card = entry.card;
    let [train, test] = card.counts;
    let [channels, height, width] = card.shape;
    writeln!(output, "{}: {}", card.id, card.title)?;
    writeln!(output, "  {train} + {test} images of {channels}x{height}x{width}, {} classes", card.classes)?;
    writeln!(output, "  from: {}; licence: {}", card.source, card.licence)?;
    if card.needs_data_dir {
        // Without a folder a set says which files it needs.
        if let Err(error) = (entry.open)(None) {
            writeln!(output, "  {error}")?;
        }
    } else {
        writeln!(output, "  needs no file")?;
    }
    if let Some(reason) = card.stand_in {
        writeln!(output, "  stand-in: {reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(asked: &Data) -> Result<(bool, String)> {
        let mut output = Vec::new();
        let code = data(asked, &mut output)?;
        Ok((format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS), String::from_utf8(output).unwrap()))
    }

    fn set(id: &str, data: &Path) -> Set {
        Set { id: id.to_owned(), data: Some(data.to_owned()), part: true, protocol: None }
    }

    #[test]
    fn each_tree_is_written_and_sound() {
        for (format, tree) in Tree::ALL {
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("tree");
            ask(&Data::Synth { format: format.to_owned(), to: to.clone() }).unwrap();
            let (sound, said) = ask(&Data::Verify { set: set(tree.dataset(), &to) }).unwrap();
            assert!(sound && said.ends_with("  sound\n"), "{format}: {said}");
        }
        for tree in &TREES {
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("tree");
            ask(&Data::Synth { format: tree.name.to_owned(), to: to.clone() }).unwrap();
            let set = Set { protocol: Some(tree.protocol.to_owned()), ..set(tree.dataset, &to) };
            let (sound, said) = ask(&Data::Verify { set }).unwrap();
            assert!(sound && said.ends_with("  sound\n"), "{}: {said}", tree.name);
        }
        let to = PathBuf::new();
        let unknown = ask(&Data::Synth { format: "cifar10-binry".to_owned(), to }).unwrap_err().to_string();
        assert!(unknown.contains("did you mean 'cifar10-binary'?"), "{unknown}");
    }

    #[test]
    fn batches_are_made_and_counted() {
        let rate = |id: &str, recipe: &str| {
            let set = Set { id: id.to_owned(), data: None, part: false, protocol: None };
            ask(&Data::Rate { set, recipe: recipe.to_owned(), batch: 8, batches: 3 }).map(|(_, said)| said)
        };
        assert!(rate("synth-10", "ottt-cifar10").unwrap().contains(": 24 samples in "));
        assert!(rate("delayed-recall", "temporal-lif").unwrap().contains("(threads: 1), "));
        let refused = rate("fashion-mnist-mini", "ottt-cifar10").unwrap_err().to_string();
        assert!(refused.contains("cifar10/ottt@1"), "{refused}");
    }

    #[test]
    fn a_set_is_packed_once_and_what_is_packed_is_sound_and_shown() {
        let folder = tempfile::tempdir().unwrap();
        let [tree, to] = ["tree", "packed"].map(|name| folder.path().join(name));
        ask(&Data::Synth { format: "imagenet-folders".to_owned(), to: tree.clone() }).unwrap();
        let pack = || Data::Convert { set: set("imagenet", &tree), to: to.clone() };
        let (_, first) = ask(&pack()).unwrap();
        let (_, again) = ask(&pack()).unwrap();
        assert_eq!(first.replace("written", "kept"), again);
        assert!(first.contains("train.shard written: "), "{first}");
        assert!(ask(&Data::Verify { set: set("imagenet", &to) }).unwrap().0);
        let sheet = folder.path().join("sheet.png");
        let show = Data::Show {
            set: set("imagenet", &to),
            to: sheet.clone(),
            test: false,
            classes: 2,
            columns: 2,
            side: 32,
        };
        ask(&show).unwrap();
        assert!(std::fs::read(sheet).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn recordings_are_packed_and_what_the_program_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [tree, to] = ["tree", "packed"].map(|name| folder.path().join(name));
        ask(&Data::Synth { format: "dvs128-gesture-aedat3".to_owned(), to: tree.clone() }).unwrap();
        let under = |data: &Path| Set { part: false, ..set("dvs128-gesture", data) };
        let (_, said) = ask(&Data::Convert { set: under(&tree), to: to.clone() }).unwrap();
        assert!(said.contains("train.shard written: 24 samples"), "{said}");
        let verified = |data: &Path| ask(&Data::Verify { set: under(data) }).unwrap();
        assert_eq!(verified(&tree), verified(&to));
        let made = Set { data: None, ..under(&tree) };
        let made = Set { id: "sim-gesture11".to_owned(), ..made };
        let refused = ask(&Data::Convert { set: made, to }).unwrap_err().to_string();
        assert!(refused.contains("the program makes this one"), "{refused}");
    }

    #[test]
    fn a_damaged_set_is_not_sound() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("tree");
        ask(&Data::Synth { format: "imagenet-shards".to_owned(), to: to.clone() }).unwrap();
        let shard = to.join("train.shard");
        let mut bytes = std::fs::read(&shard).unwrap();
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        std::fs::write(shard, bytes).unwrap();
        let (sound, said) = ask(&Data::Verify { set: set("imagenet", &to) }).unwrap();
        assert!(!sound && said.ends_with("NOT SOUND\n"), "{said}");
    }

    #[test]
    fn help_tells_licence_and_source_of_each_set() {
        let (_, said) = ask(&Data::Help { id: None }).unwrap();
        assert_eq!(said.matches("licence: ").count(), datasets::DATASETS.len() + datasets::FRAME_SETS.len());
        assert!(said.contains("stand-in: ") && said.contains("cifar10dvs/first900"), "{said}");
        let (_, one) = ask(&Data::Help { id: Some("cifar10".to_owned()) }).unwrap();
        assert!(one.starts_with("cifar10: ") && !one.contains("imagenet"), "{one}");
    }
}
