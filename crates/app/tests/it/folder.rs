//! Several servers started at once on one new folder.

use crate::harness::{Place, eventually};
use std::process::Stdio;

/// The key that lies in the folder is that of the server that has the folder: the command line shows it, and is let in.
#[test]
fn one_of_them_has_it_and_its_key_is_there() {
    let place = Place::new();
    let start = || {
        let mut command = place.command(&["dev", "--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut servers: Vec<_> = (0..4).map(|_| start()).collect();
    eventually("the end of all but one", || {
        let live =
            servers.iter_mut().map(|server| usize::from(server.try_wait().unwrap().is_none())).sum::<usize>();
        assert!(live > 0, "none has the folder");
        (live == 1).then_some(())
    });
    let said = eventually("an answer", || {
        let said = place.run(&["task", "list"]);
        (said.code != 6).then_some(said)
    });
    assert_eq!(said.code, 0, "{said:?}");
    for mut server in servers {
        // Those that did not get the folder are gone already.
        let _ = server.kill();
        server.wait().unwrap();
    }
}
