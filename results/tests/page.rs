//! The page in a real browser: no message on its console, tables that sort by keyboard, light and dark, and no scrolling
//! sideways on a phone. Without Chromium (on the path, or named by `CHROMIUM`) nothing is checked, and that is said.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Looks at the first table and the page's width, sorts by a column of numbers, and tells the frame around it.
const LOOK: &str = r#"<script>
const heads = [...document.querySelector("table").tHead.rows[0].cells];
const names = () => [...document.querySelector("tbody").rows].slice(1).map((row) => row.cells[0].textContent);
const head = heads.find((head) => head.textContent === "gradient cosine");
const button = head.querySelector("button");
const seen = { records: names(), unsorted: head.getAttribute("aria-sort"), tab: button.tabIndex };
button.focus();
seen.focused = document.activeElement === button;
for (const order of ["first", "second", "third"]) {
  button.click();
  seen[order] = [head.getAttribute("aria-sort"), names()];
}
seen.beyond = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const wide = [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth);
seen.scrolls = wide.map((box) => `${box.ariaLabel}: ${box.scrollWidth} > ${box.clientWidth}`);
seen.paper = getComputedStyle(document.body).backgroundColor;
seen.letter = getComputedStyle(document.body).color;
parent.postMessage(JSON.stringify(seen), "*");
</script>"#;

/// A browser that there is.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    let browser = named.into_iter().chain(found).find(|path| path.is_file());
    if browser.is_none() {
        eprintln!("SKIPPED: no Chromium on the path and CHROMIUM names none; no page was opened");
    }
    browser
}

/// Runs the browser on a page and returns the document it ends with; a message on the console is an error.
fn open(browser: &Path, page: &Path, flags: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let profile = tempfile::tempdir()?;
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"])
        .args(["--allow-file-access-from-files", "--virtual-time-budget=4000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(flags)
        .arg(format!("file://{}", page.display()))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let messages: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    if !messages.is_empty() {
        return Err(format!("the console says {messages:?}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What [`LOOK`] saw of a page in a frame of a width: a browser's own window can't be as narrow as a phone.
fn look(
    browser: &Path,
    page: &Path,
    width: u32,
    flags: &[&str],
) -> Result<Value, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(page)?;
    let looked = page.with_file_name("looked.html");
    std::fs::write(&looked, text.replace("</body>", &format!("{LOOK}</body>")))?;
    let frame = page.with_file_name("frame.html");
    let around = format!(
        "<body><pre></pre><script>onmessage = (told) => document.querySelector('pre').textContent = told.data</script>\
         <iframe src='looked.html' style='width:{width}px;height:900px;border:0'></iframe></body>"
    );
    std::fs::write(&frame, around)?;
    let document = open(browser, &frame, &[&["--dump-dom"], flags].concat())?;
    let seen =
        document.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap_or_default();
    Ok(serde_json::from_str(seen).map_err(|error| format!("{error}: {document}"))?)
}

fn report(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sample");
    Ok(results::report(&sample, folder, "harness report")?.page)
}

#[test]
fn tables_sort_up_and_down_and_back_and_what_is_missing_stays_last() -> Outcome {
    let Some(browser) = browser() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let seen = look(&browser, &report(folder.path())?, 1200, &[])?;
    assert_eq!((&seen["unsorted"], &seen["tab"], &seen["focused"]), (&Value::Null, &0.into(), &true.into()));
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let (up, down) = (names(&seen["first"][1]), names(&seen["second"][1]));
    assert_eq!((&seen["first"][0], &seen["second"][0]), (&"ascending".into(), &"descending".into()));
    // Two that are equal keep the records' order, and one has no gradient to compare.
    assert_eq!(up, ["frozen", "sltt", "ottt-a", "ottt-o", "stbp", "ann"]);
    assert_eq!(down, ["stbp", "ottt-a", "ottt-o", "sltt", "frozen", "ann"]);
    assert_eq!((&seen["third"][0], &seen["third"][1]), (&Value::Null, &seen["records"]));
    Ok(())
}

#[test]
fn a_page_fits_a_phone_and_a_desk_in_light_and_in_dark() -> Outcome {
    let Some(browser) = browser() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let page = report(folder.path())?;
    let dark = ["--blink-settings=preferredColorScheme=0"];
    for (width, flags, paper, letter) in [
        (1200, &[][..], "rgb(255, 255, 255)", "rgb(31, 35, 40)"),
        (390, &[][..], "rgb(255, 255, 255)", "rgb(31, 35, 40)"),
        (390, &dark[..], "rgb(20, 24, 29)", "rgb(230, 233, 237)"),
    ] {
        let seen = look(&browser, &page, width, flags)?;
        assert_eq!(seen["beyond"], 0, "{width} px: the page scrolls sideways");
        let scrolling = seen["scrolls"].as_array().is_some_and(|boxes| !boxes.is_empty());
        assert_eq!(
            scrolling,
            width < 1000,
            "{width} px: only on a phone does a table scroll: {}",
            seen["scrolls"]
        );
        assert_eq!(
            (&seen["paper"], &seen["letter"]),
            (&paper.into(), &letter.into()),
            "{width} px {flags:?}"
        );
    }
    Ok(())
}

/// The picture is kept in the target folder, to be looked at.
#[test]
fn a_page_is_photographed_and_its_console_is_silent() -> Outcome {
    let Some(browser) = browser() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let page = report(folder.path())?;
    let shot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.png");
    let _ = std::fs::remove_file(&shot);
    let to = format!("--screenshot={}", shot.display());
    open(&browser, &page, &[&to, "--window-size=1200,2400"])?;
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&shot)?));
    let mut reader = decoder.read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let frame = reader.next_frame(&mut pixels)?;
    assert_eq!((frame.width, frame.height), (1200, 2400));
    let samples = frame.color_type.samples();
    let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks(samples).collect();
    assert!(colours.len() > 50, "{} colours: an empty sheet has one", colours.len());
    // The check can fail: a page that complains is heard.
    let text = std::fs::read_to_string(&page)?.replace("</body>", "<script>nothing()</script></body>");
    std::fs::write(&page, text)?;
    let heard = open(&browser, &page, &["--dump-dom"]).map(|_| ()).unwrap_err().to_string();
    assert!(heard.contains("nothing is not defined"), "{heard}");
    Ok(())
}
