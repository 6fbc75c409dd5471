//! A plugin on every system: the sample of the tour, loaded, called, awaited, ended.
//!
//! It is compiled here, unless `GMEMX_TEST_PLUGIN` names it: a test that was built for another
//! system has no compiler there.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use gmemx::error::Error;
use gmemx::plugin::Plugin;
use gmemx::plugin::queue::{PluginQueue, Request};

fn sample() -> PathBuf {
    let given = env::var_os("GMEMX_TEST_PLUGIN").map(PathBuf::from);
    given.unwrap_or_else(|| {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "sample-{}{}",
            std::process::id(),
            env::consts::DLL_SUFFIX
        ));
        let done = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-I"])
            .arg(root.join("include"))
            .arg(root.join("examples/plugins/mandelbrot/mandelbrot.c"))
            .arg("-o")
            .arg(&built)
            .status();
        assert!(done.expect("there is a C compiler").success());
        built
    })
}

#[test]
fn it_is_loaded_called_awaited_and_ended() {
    let path = sample();
    let plugins = [0; 3].map(|_| Plugin::load(&path, b"", true).expect("a good plugin"));
    for plugin in &plugins {
        assert_eq!(plugin.state(), 2);
        let refused = plugin.enter().unwrap().call(c"no such tag", b"{}").checked();
        assert!(matches!(refused, Err(Error::Plugin { .. })));
    }
    let queue = PluginQueue::new(&plugins[0], 2, 100).unwrap();
    for round in 0..20u64 {
        for token in 0..50 {
            let request = Request::tagged(c"no such tag", b"{}").unwrap();
            queue.submit(100 * round + token, request).unwrap();
        }
        let (mut taken, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while taken.len() < 50 {
            assert!(Instant::now() < deadline, "they never came");
            queue.take(7, |token, outcome| taken.push((token, outcome.is_ok())));
            thread::yield_now();
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..50).map(|token| (100 * round + token, true)).collect::<Vec<_>>());
    }
    thread::scope(|scope| {
        for plugin in &plugins {
            scope.spawn(|| assert!(plugin.shut_down(Some(Duration::from_secs(20))).unwrap()));
        }
    });
    assert!(plugins.iter().all(|plugin| plugin.state() == 4 && plugin.enter().is_err()));
}

#[test]
fn what_is_no_library_is_refused_in_a_sentence() {
    let folder = env::temp_dir().join(format!("none-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("no-library");
    fs::write(&path, b"not a library").unwrap();
    for wanted in [&path, &folder, &folder.join("missing")] {
        let text = Plugin::load(wanted, b"", false).err().expect("it is none").to_string();
        assert!(text.contains(&wanted.display().to_string()), "{text}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
