# Short names for the commands of this project. `just` lists them.

default:
    @just --list

# What CI runs: format, lints, docs, tests, dependencies. Run it before every push.
check:
    .ci/run

# The 12 small trials that need nothing but this checkout.
smoke *flags:
    cargo run -p harness -- --suite smoke {{flags}}

# The memory laws, and the bytes of earlier revisions.
regress *flags:
    cargo run -p harness -- regress --baseline results/baselines/memory.csv {{flags}}

# All tests.
test:
    cargo test --workspace

# Formats all code.
fmt:
    cargo fmt --all
