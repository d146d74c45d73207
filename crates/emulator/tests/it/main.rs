//! Behaviour of the emulator as its clients see it.
