//! An SVG as PNG, with letters of its own: the machine needs no fonts.

use crate::error::Error;
use crate::origin::Origin;
use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// Pixels of the image for one pixel of the drawing: sharp on dense screens and in print.
const ZOOM: f32 = 2.0;

/// Renders an SVG document as PNG at twice its size, with a text chunk that says what it was made from; `chart` names it in
/// an error.
pub fn png(chart: &str, svg: &str, origin: &Origin) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Draw { chart: chart.to_owned(), reason };
    let mut options = usvg::Options { font_family: "DejaVu Sans".to_owned(), ..usvg::Options::default() };
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(ZOOM);
    let sheet = size.and_then(|size| tiny_skia::Pixmap::new(size.width(), size.height()));
    let mut sheet = sheet.ok_or_else(|| failed("the drawing has no size".to_owned()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(ZOOM, ZOOM), &mut sheet.as_mut());
    let (width, height) = (sheet.width(), sheet.height());
    let pixels: Vec<u8> = sheet
        .pixels()
        .iter()
        .map(|pixel| pixel.demultiply())
        .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()])
        .collect();
    written(width, height, &pixels, origin).map_err(|error| failed(error.to_string()))
}

fn written(width: u32, height: u32, pixels: &[u8], origin: &Origin) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_itxt_chunk("Source".to_owned(), format!("records {}; {}", origin.records, origin.command))?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}
