//! Renderers: a grid or a figure in, text or an image out; one format a file.

mod bars;
mod csv;
mod frames;
mod heat;
mod html;
mod labels;
mod latex;
mod layout;
mod markdown;
mod panels;
mod png;
mod scene;
mod stacks;
mod svg;
mod terminal;

pub use csv::csv;
pub(crate) use html::escape;
pub use html::html;
pub use latex::latex;
pub use markdown::markdown;
pub(crate) use markdown::{escape as escape_markdown, sections};
pub use png::png;
pub(crate) use scene::Ink;
pub(crate) use svg::signed;
pub use svg::svg;
pub use terminal::terminal;
