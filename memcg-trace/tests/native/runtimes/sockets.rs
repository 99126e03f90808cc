//! Sockets of runtimes that are dead, silent, or speak another protocol: the stream continues, and one line reports it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
    process, thread,
};

use serde_json::json;

use crate::support::{cgroup::Cgroup, machine, tracer::Tracer};

/// Only exists on this machine.
const UID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f8";

/// Behaviour of the server.
#[derive(Clone, Copy, Debug)]
enum Socket {
    Dead,
    Silent,
    Garbage,
    /// HTTP/2 that ends in the middle of a frame.
    CutOff,
}

/// A root directory that only contains the socket of a runtime.
struct Root(PathBuf);

impl Root {
    fn with(socket: Socket) -> Self {
        let root = Self(std::env::temp_dir().join(format!("memcg-trace-{socket:?}-{}", process::id())));
        let directory = root.0.join("run/containerd");
        fs::create_dir_all(&directory).expect("a directory");
        let listener = UnixListener::bind(directory.join("containerd.sock")).expect("a socket");
        thread::spawn(move || {
            if let Socket::Dead = socket {
                return drop(listener);
            }
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                let answer: &[u8] = match socket {
                    Socket::Garbage => b"SSH-2.0-dropbear\r\n",
                    Socket::CutOff => b"\0\0\0\x04\0\0\0\0\0\0\0\xff\x01",
                    Socket::Silent | Socket::Dead => {
                        silent.push(stream);
                        continue;
                    }
                };
                let _ = stream.write_all(answer);
                // Read the request before closing, otherwise the answer would be lost.
                let _ = stream.read(&mut [0; 4096]);
            }
        });
        root
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn sockets_that_fail() {
    let _machine = machine();
    for socket in [Socket::Dead, Socket::Silent, Socket::Garbage, Socket::CutOff] {
        let root = Root::with(socket);
        let mut tracer = Tracer::start(&["--host-root", root.0.to_str().expect("a path in ASCII")]);
        let home = Cgroup::home("sockets");
        let pod = home.child(format!("kubepods-pod{}.slice", UID.replace('-', "_")));
        pod.enable_memory();
        let containers: Vec<_> = (0..6_u32)
            .map(|number| pod.child(format!("cri-containerd-{:064x}.scope", 0xabcd_0000 + number)))
            .collect();
        // Each of them is queried without blocking: every event is reported.
        for container in containers {
            let path = container.path().to_owned();
            let online = tracer.event("online", &path);
            assert_eq!(online["container"]["pod_uid"], json!(UID), "{online}");
            drop(container);
            tracer.event("offline", &path);
        }
        drop((pod, home));
        let outcome = tracer.stop();
        outcome.assert_conclusive();
        let lines = outcome.stderr.lines().filter(|line| line.contains("containerd.sock"));
        assert_eq!(lines.count(), 1, "{socket:?}: {}", outcome.stderr);
    }
}
