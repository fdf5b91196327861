//! The CUDA C of the kernels, and how it is compiled. Needs neither a toolkit nor a device.

/// One file of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its name, without the ending.
    pub name: &'static str,
    /// CUDA C in the number types `real` and `held`, behind the prelude.
    pub text: &'static str,
    /// Whether it is compiled for a number of time steps.
    pub of_steps: bool,
}

/// The number type a source is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// `float`.
    F32,
    /// `double`.
    F64,
    /// `bf16` in memory, `float` in registers.
    Bf16,
    /// `f16` in memory, `float` in registers.
    F16,
}

impl Number {
    /// Every number type.
    pub const ALL: [Self; 4] = [Self::F32, Self::F64, Self::Bf16, Self::F16];
}

const PRELUDE: &str = include_str!("prelude.cu");

macro_rules! sources {
    ($($name:ident = $file:literal, $of_steps:literal, $what:literal;)*) => {
        $(
            #[doc = $what]
            pub const $name: Source =
                Source { name: $file, text: include_str!(concat!($file, ".cu")), of_steps: $of_steps };
        )*
        /// Every source.
        pub const ALL: &[Source] = &[$($name),*];
    };
}

sources! {
    ATTENTION = "attention", false, "Products of small matrices.";
    BITS = "bits", false, "Values of one bit.";
    CHANNELS = "channels", false, "One number a channel or a row.";
    DROPOUT = "dropout", false, "Masks from a random key.";
    ELEMENTWISE = "elementwise", false, "Element by element.";
    GRID = "grid", false, "Rounding to a grid, and the reversible mixing.";
    LIF = "lif", true, "Neurons over all steps of time.";
    LOSS = "loss", false, "Losses with their gradients.";
    NORM = "norm", false, "Sums over images and places, and norms.";
    POOL = "pool", false, "Pools.";
    REMAINDER = "remainder", false, "Carried states on a grid, and what undoes them.";
    STANDARDISE = "standardise", false, "Scaled weight standardisation.";
    UPDATE = "update", false, "Parameter updates.";
}

/// The whole text of `source` in one number type; `steps` is T for a source that is compiled for it.
#[must_use]
pub fn text(source: Source, number: Number, steps: usize) -> String {
    let number = match number {
        Number::F32 => "#define real float\n#define IS_FLOAT 1\n",
        Number::F64 => "#define real double\n",
        Number::Bf16 => "#define real float\n#define IS_FLOAT 1\n#define HELD_BF16 1\n",
        Number::F16 => "#define real float\n#define IS_FLOAT 1\n#define HELD_F16 1\n",
    };
    let steps = if source.of_steps { format!("#define STEPS {steps}\n") } else { String::new() };
    format!("{number}{steps}{PRELUDE}\n{}", source.text)
}

/// What the compiler is told, for a device of compute capability `major.minor`.
///
/// Without contraction a product and a sum round twice, as on the CPU.
#[must_use]
pub fn options((major, minor): (usize, usize)) -> Vec<String> {
    vec![
        format!("--gpu-architecture=compute_{major}{minor}"),
        "--std=c++17".to_owned(),
        "--fmad=false".to_owned(),
        "--ftz=false".to_owned(),
        "--prec-div=true".to_owned(),
        "--prec-sqrt=true".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comments are left out, so that the rule may be told in one.
    fn code(source: &Source) -> String {
        source.text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_source_has_an_order_that_the_scheduler_chooses() {
        for source in ALL {
            for word in ["atomic", "__fmaf", "__fma_rn", "__expf", "__fdividef"] {
                assert!(!code(source).contains(word), "{}.cu has {word}", source.name);
            }
        }
    }

    #[test]
    fn a_source_is_compiled_for_what_it_is_asked_for() {
        let text = text(LIF, Number::F64, 6);
        assert!(text.starts_with("#define real double\n#define STEPS 6\n"));
        assert!(!super::text(NORM, Number::F32, 6).contains("#define STEPS"));
    }

    #[test]
    fn sources_and_launches_agree_on_their_numbers() {
        use super::super::launch;
        assert!(PRELUDE.contains(&format!("#define THREADS {}\n", launch::THREADS)));
        assert!(REMAINDER.text.contains(&format!("#define RUN {}\n", launch::RUN)));
        let tile = (1..=256).find(|&tile| launch::tiles(tile, 1) == 1 && launch::tiles(tile + 1, 1) == 2);
        assert!(ATTENTION.text.contains(&format!("#define TILE {}\n", tile.unwrap())));
    }
}
