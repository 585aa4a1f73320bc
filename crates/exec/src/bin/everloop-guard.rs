//! The guard of commands, alone.

fn main() -> std::process::ExitCode {
    everloop_exec::shell::guard::main()
}
