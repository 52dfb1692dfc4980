//! What the images promise, on real containers.
//!
//! Every probe inside a container runs as uid 10000, unless the test's name says root.

mod fixtures;
