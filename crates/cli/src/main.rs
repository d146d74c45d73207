//! The `ripcord` program. Everything is in the library beside it, so that it can be read from one place.

fn main() -> std::process::ExitCode {
    ripcord::run()
}
