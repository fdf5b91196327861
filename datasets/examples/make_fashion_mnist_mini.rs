//! Chooses the shipped subset from the whole of Fashion-MNIST.
//!
//! `cargo run -p datasets --example make_fashion_mnist_mini -- SOURCE TARGET`, where SOURCE holds the four IDX files
//! of the whole set and TARGET gets four gzip files of the same names.
//!
//! The rule: of each split and class, the indices in file order are shuffled by the key
//! `Key::new(2017).fork("fashion-mnist-mini").fork(split).index(class)`, and the first 600 (train) or 200 (test) are
//! taken. The chosen samples keep the order of the source files.

use std::{env, error::Error, fs, io::Write as _, path::Path};

use datasets::{Dataset, Split, find};
use flate2::{Compression, GzBuilder};
use keys::Key;

/// The year in which the set appeared; any fixed number would do.
const SEED: u64 = 2017;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, target] = arguments.as_slice() else {
        return Err("two folders expected: SOURCE TARGET".into());
    };
    let entry = find("fashion-mnist").ok_or("no data set fashion-mnist")?;
    let whole = (entry.open)(Some(Path::new(source)))?;
    for (split, prefix, a_class) in [(Split::Train, "train", 600), (Split::Test, "t10k", 200)] {
        let chosen = choose(whole.as_ref(), split, a_class);
        let target = Path::new(target);
        let count = u32::try_from(chosen.len())?;

        let mut images = header(&[2051, count, 28, 28]);
        chosen.iter().for_each(|&index| images.extend(whole.image(split, index)));
        write(&target.join(format!("{prefix}-images-idx3-ubyte.gz")), &images)?;

        let mut labels = header(&[2049, count]);
        labels.extend(chosen.iter().map(|&index| whole.label(split, index) as u8));
        write(&target.join(format!("{prefix}-labels-idx1-ubyte.gz")), &labels)?;
    }
    Ok(())
}

fn choose(whole: &dyn Dataset, split: Split, a_class: usize) -> Vec<usize> {
    let key = Key::new(SEED).fork("fashion-mnist-mini").fork(split.name());
    let mut chosen: Vec<usize> = (0..whole.card().classes)
        .flat_map(|class| {
            let members = (0..whole.len(split)).filter(|&index| whole.label(split, index) as usize == class);
            let mut members: Vec<usize> = members.collect();
            key.index(class as u64).stream().shuffle(&mut members);
            members.truncate(a_class);
            members
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

fn header(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Gzip without a name or a time in its header, so that the same choice gives the same file.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    fs::write(path, encoder.finish()?)?;
    Ok(())
}
