//! Layers one after another, cut into the segments of a sequence.
//!
//! A cut is a place where a method may keep what passes and run the part behind it again; the cheapest is behind
//! neurons, where only spikes pass.

use std::rc::Rc;

use engine::layer::Chain;
use engine::model::{Block, Segment, Wiring};

/// Layers so far: whole segments, and the one that is open.
#[derive(Default)]
pub(crate) struct Layers {
    segments: Vec<Segment>,
    open: Vec<Box<dyn Block>>,
}

impl Layers {
    /// Puts a layer behind the others.
    pub(crate) fn push(&mut self, layer: impl Block + 'static) {
        self.open.push(Box::new(layer));
    }

    /// Ends the open segment.
    pub(crate) fn cut(&mut self) {
        if !self.open.is_empty() {
            self.segments.push(plain(std::mem::take(&mut self.open)));
        }
    }

    /// Whether there is no layer yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.open.is_empty()
    }

    /// All layers as segments.
    pub(crate) fn into_segments(mut self) -> Vec<Segment> {
        self.cut();
        self.segments
    }

    /// All layers as a network without state between segments.
    pub(crate) fn into_sequence(self) -> Wiring {
        Wiring::Sequence(self.into_segments().into())
    }
}

/// Blocks one after another as one segment.
pub(crate) fn plain(blocks: Vec<Box<dyn Block>>) -> Segment {
    Segment::Plain(Rc::new(Chain(blocks)))
}
