//! Integration tests of the engine: one binary, one module a subject.

mod numerics;
