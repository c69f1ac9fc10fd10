//! The pool: which number a ride would get, and how far the numbers reach.

mod dry_run;
mod explain;
mod planning;
