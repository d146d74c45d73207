//! Behaviour of the emulator as its clients see it.

mod conformance;
mod control;
mod faults;
mod inference;
mod management;
mod plain;
mod raw;
mod windows;
