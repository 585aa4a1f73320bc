//! `everloop serve`: a server for others.

use super::args::ServeArgs;
use super::{dev, ground::Ground};
use crate::failure::{Failure, Outcome};
use everloop_control::Mode;

pub(crate) fn run(ground: &Ground, serve: &ServeArgs) -> Outcome {
    let Some(folder) = ground.settings.path("data_dir") else {
        return Err(Failure::usage("serve needs a folder for its files")
            .cause("only dev mode has a default, the folder .everloop here")
            .hint("everloop serve --data-dir /var/lib/everloop"));
    };
    dev::serve(ground, &serve.server, &dev::options(ground, Mode::Serve, folder)?)
}
